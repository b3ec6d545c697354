-- Makes due jobs available, oldest first.
-- in: now (null: the time at which the transaction began), limit    out: id, queue    index: jobs_scheduled
WITH due AS (
  SELECT seq FROM jobs
  WHERE state = 'scheduled' AND run_at <= coalesce($1::bigint, (extract(epoch FROM now()) * 1000)::bigint)
  ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET
  state = 'available', state_at = coalesce($1::bigint, (extract(epoch FROM now()) * 1000)::bigint),
  last_event = last_event + 1, state_event = last_event + 1
FROM due WHERE jobs.seq = due.seq
RETURNING jobs.id, jobs.queue
