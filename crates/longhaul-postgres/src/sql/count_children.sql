-- Tells the state of a closing job anew, with how its children stand now.
-- in: seq, now, state, run_at, rank, children_total, children_completed, children_failed, children_cancelled,
--     how many changes these are
-- index: the primary key
UPDATE jobs SET
  state = $3, state_at = $2, run_at = $4, rank = place($5, limit_key),
  children_total = $6, children_completed = $7, children_failed = $8, children_cancelled = $9,
  last_event = last_event + $10, state_event = last_event + $10
WHERE seq = $1
