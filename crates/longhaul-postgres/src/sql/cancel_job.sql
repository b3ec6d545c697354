-- Cancels a job that waits.
-- in: seq, now    index: the primary key
UPDATE jobs SET
  state = 'cancelled', token = 0, state_at = $2, finished_at = $2, kept_from = $2,
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
