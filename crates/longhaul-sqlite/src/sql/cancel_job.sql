-- Cancels a job that waits.
-- in: seq, now, reason, kept_from    index: the primary key
UPDATE jobs SET
  state = 'cancelled', state_at = ?2, finished_at = ?2, kept_from = ?4,
  last_event = last_event + 1, state_event = last_event + 1, cancel_reason = ?3, ends_at = NULL
WHERE seq = ?1
