-- Creates jobs without limit keys, whose ids were drawn just now and of which nothing has to be looked up, and counts them: one
-- statement, and so one message to the server and one commit. None is created where a bound on waiting jobs may hold for one of
-- them, which other statements look after. Jobs with limit keys go to insert_simple_keyed_jobs.sql, one alone to
-- insert_simple_job.sql.
-- in: a list for each column of `new` below, but that the time now is the fourteenth; last each queue once
-- out: a row for each queue and state of what was created
-- index: jobs_by_id; queues_bounded
WITH created AS (
  INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
                    backoff, labels, args, created_at, state_at, policy)
  SELECT nextval('numbers'), id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
         backoff, labels, args, $14, $14, policy
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
              $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $15::text[], $16::text[])
    AS new (id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout, backoff, labels,
            args, policy)
  -- A subquery for one value and no CTE, because a CTE costs as much as another job.
  WHERE (SELECT name FROM queues WHERE name = ANY ($17::text[]) AND config LIKE '%"max_waiting":%' LIMIT 1) IS NULL
  RETURNING queue, state
)
INSERT INTO count_deltas (queue, state, n)
SELECT queue, state, count(*) FROM created GROUP BY queue, state
RETURNING queue
