-- Ends the wait of a blocked job.
-- in: seq, now, state, run_at, rank    index: the primary key
UPDATE jobs SET
  state = ?3, state_at = ?2, run_at = ?4, rank = ?5, last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
