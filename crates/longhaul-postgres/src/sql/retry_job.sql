-- Makes a finished job, or one that waits for a person, available again, as if it had never run but for its history.
-- in: seq, now, rank, args (null: as they are)    index: the primary key
UPDATE jobs SET
  state = 'available', token = 0, state_at = $2, run_at = $2, rank = place($3, limit_key), attempt = 0, crashes = 0,
  finished_at = NULL, kept_from = NULL, output = NULL, progress = NULL, cancel_reason = NULL, expires_at = NULL, deadline = NULL,
  waits_for = NULL, wakes_at = NULL, dependencies_left = NULL, args = coalesce($4, args),
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
