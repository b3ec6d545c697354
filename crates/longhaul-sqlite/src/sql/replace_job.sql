-- Gives a job that waits the args of another, and lets it begin anew.
-- in: seq, now, state, run_at, rank, version, args    index: the primary key
UPDATE jobs SET
  state = ?3, state_at = ?2, run_at = ?4, rank = ?5, version = ?6, args = ?7, steps = 0,
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
