-- Cancels a job that waits.
-- in: seq, now, kept_from, reason    index: the primary key
UPDATE jobs SET
  state = 'cancelled', token = 0, state_at = $2, finished_at = $2, kept_from = $3, cancel_reason = $4,
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
