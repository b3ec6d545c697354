-- Undoes a claim that nobody heard of.
-- in: seq, now    index: the primary key
UPDATE jobs SET
  state = 'available', token = 0, state_at = $2, attempt = attempt - 1, lease_until = NULL, worker = NULL,
  started_at = NULL, last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
