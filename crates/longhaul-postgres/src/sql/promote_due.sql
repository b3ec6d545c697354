-- Makes due jobs available, oldest first.
-- in: now, limit    out: id, queue, kind, attempt    index: jobs_scheduled
WITH due AS (
  SELECT seq FROM jobs WHERE state = 'scheduled' AND run_at <= $1 ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET state = 'available', state_at = $1, last_event = last_event + 1, state_event = last_event + 1
FROM due WHERE jobs.seq = due.seq
RETURNING jobs.id, queue, kind, attempt
