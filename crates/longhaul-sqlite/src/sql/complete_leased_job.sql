-- Completes a run of which the writer remembers the row: no unique key, no batch, no slots, nothing else to say. Changes nothing where
-- the lease is lost, somebody has asked the job to stop, or it has steps.
-- in: seq, token, now, output, id    index: the primary key
UPDATE jobs SET
  state = 'completed', state_at = ?3, finished_at = ?3, kept_from = ?3, output = ?4, room = NULL,
  lease_until = NULL, last_event = last_event + 2, state_event = last_event + 2
WHERE seq = ?1 AND token = ?2 AND state = 'running' AND cancel_by IS NULL AND id = ?5 AND steps = 0 AND held IS NULL
