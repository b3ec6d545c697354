-- Completes a run that has nothing else to say: the hot path of `finish.rs`. Changes nothing without the lease.
-- in: id, token, now, output    out: seq, queue, unique_key, unique_period    index: jobs_by_id
UPDATE jobs SET
  state = 'completed', state_at = ?3, finished_at = ?3, kept_from = ?3 + coalesce(unique_period, 0),
  output = ?4, lease_until = NULL, cancel_by = NULL,
  last_event = last_event + 2, state_event = last_event + 2
WHERE id = ?1 AND token = ?2 AND state = 'running'
RETURNING seq, queue, unique_key, unique_period
