-- Asks a running job to stop, and tells its state anew.
-- in: seq, cancel_by, reason, now    index: the primary key
UPDATE jobs SET
  cancel_by = ?2, cancel_reason = ?3, state_at = ?4, last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
