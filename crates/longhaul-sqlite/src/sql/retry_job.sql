-- Makes a finished job available again, as if it had never run but for its history, and without an end by time. Its token is forgotten: a finish that
-- comes late is one of an earlier life.
-- in: seq, now, rank, args (null: unchanged)    index: the primary key
UPDATE jobs SET
  state = 'available', state_at = ?2, run_at = ?2, rank = ?3, args = coalesce(?4, args), attempt = 0, crashes = 0,
  token = 0, finished_at = NULL, kept_from = NULL, output = NULL, progress = NULL,
  ends_at = NULL, policy = iif(json_valid(policy), json_remove(policy, '$.expires_at', '$.deadline'), policy),
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
