-- Creates one job as insert_simple_jobs.sql does many: whose id was drawn just now, of which nothing has to be looked up, and which
-- has no limit keys. It is a statement of its own because lists of one value each, taken apart and counted, take the server longer
-- than the job.
-- in: a value for each column, but that the time now is the thirteenth
-- out: a row if it was created; none where its queue has a bound on waiting jobs
-- index: jobs_by_id; queues_bounded
WITH created AS (
  INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
                    backoff, labels, args, created_at, state_at, policy)
  SELECT nextval('numbers'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14, $15, $13, $13, $16
  WHERE (SELECT name FROM queues WHERE name = $4 AND config LIKE '%"max_waiting":%') IS NULL
  RETURNING queue, state
)
INSERT INTO count_deltas (queue, state, n) SELECT queue, state, 1 FROM created
RETURNING queue
