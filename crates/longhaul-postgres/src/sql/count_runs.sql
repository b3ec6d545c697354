-- Has the runs of queues with limits count, which the release before has begun, or which began before the queue had any. What another
-- transaction is at is left to the next sweep.
-- in: queue (null: all that have limits)    index: queues_limited; jobs_running, once for each
WITH run AS MATERIALIZED (
  SELECT running.seq FROM queues CROSS JOIN LATERAL (
    SELECT seq FROM jobs WHERE state = 'running' AND jobs.queue = queues.name AND limited IS NULL FOR UPDATE SKIP LOCKED
  ) AS running
  WHERE (config LIKE '%"slots":%' OR config LIKE '%"rate":%') AND ($1::text IS NULL OR name = $1)
)
UPDATE jobs SET limited = true FROM run WHERE jobs.seq = run.seq
