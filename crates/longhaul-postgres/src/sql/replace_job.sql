-- Has a waiting job run with what a newer one of its unique key would have run with; its steps are forgotten, and its readers
-- are told.
-- in: seq, now, args, version, state, run_at, rank    index: the primary keys
WITH gone AS (DELETE FROM steps WHERE job = $1)
UPDATE jobs SET
  args = $3, version = $4, state = $5, run_at = $6, rank = place($7, limit_key), steps = 0, state_at = $2,
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
