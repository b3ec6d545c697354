-- Gives an available job that takes slots, of limit keys or of its queue, to a worker: as claim_job.sql, and notes the slots that it takes.
-- in: seq, token, worker, now, lease_until, held
-- index: the primary key
UPDATE jobs SET
  state = 'running', token = ?2, worker = ?3, started_at = ?4, state_at = ?4, lease_until = ?5, held = ?6,
  room = zeroblob(12), attempt = attempt + 1,
  last_event = last_event + 1 + (log_event > 0),
  state_event = last_event + 1 + (log_event > 0),
  log_event = 0
WHERE seq = ?1
