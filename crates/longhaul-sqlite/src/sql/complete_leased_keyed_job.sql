-- As complete_leased_job.sql, of a job that takes slots, of limit keys or of its queue: they are given back.
-- in: seq, token, now, output, id    index: the primary key
UPDATE jobs SET
  state = 'completed', state_at = ?3, finished_at = ?3, kept_from = ?3, output = ?4, room = NULL, held = NULL,
  lease_until = NULL, last_event = last_event + 2, state_event = last_event + 2
WHERE seq = ?1 AND token = ?2 AND state = 'running' AND cancel_by IS NULL AND id = ?5 AND steps = 0
