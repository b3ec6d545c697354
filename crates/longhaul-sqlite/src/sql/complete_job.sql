-- Completes a run.
-- in: seq, now, output, kept_from    index: the primary key
UPDATE jobs SET
  state = 'completed', state_at = ?2, finished_at = ?2, kept_from = ?4, output = ?3, room = NULL, held = NULL,
  lease_until = NULL, cancel_by = NULL, last_event = last_event + 2, state_event = last_event + 2
WHERE seq = ?1
