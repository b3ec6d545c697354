-- Makes a due job available; one that has limit keys behind all that have none.
-- in: seq, now    out: id, kind, attempt, limit_key, version, rank, policy (of a job with limit keys)
UPDATE jobs SET
  state = 'available', state_at = ?2, last_event = last_event + 1, state_event = last_event + 1,
  rank = iif(limit_key IS NOT NULL AND rank < (1 << 61), rank + (1 << 62), rank)
WHERE seq = ?1
RETURNING id, kind, attempt, limit_key, version, rank, iif(limit_key IS NULL, NULL, policy) AS policy
