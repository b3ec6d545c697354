-- Tells the state of a parent anew, with how its children stand now; or has it go on in another state.
-- in: seq, now, state, run_at, rank (null, all three: unchanged), children_total, children_completed, children_failed,
--     children_cancelled, the event numbers that this takes
-- index: the primary key
UPDATE jobs SET
  state = coalesce($3, state), state_at = $2, run_at = coalesce($4, run_at), rank = coalesce(place($5, limit_key), rank),
  waits_for = CASE WHEN $3 IS NULL THEN waits_for END, wakes_at = CASE WHEN $3 IS NULL THEN wakes_at END,
  children_total = $6, children_completed = $7, children_failed = $8, children_cancelled = $9,
  last_event = last_event + $10, state_event = last_event + $10
WHERE seq = $1
