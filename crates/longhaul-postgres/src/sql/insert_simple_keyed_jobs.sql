-- Creates jobs of which some have limit keys, and does all else that insert_simple_jobs.sql does: those that come are noted here (see
-- 0010_noted.sql). The others are by themselves, because a statement costs more by each part that it has. It creates
-- jobs whose ids were drawn just now and of which nothing has to be looked up, and counts them: one statement, and
-- so one message to the server and one commit. None is created where a bound on waiting jobs may hold for one of them, which
-- other statements look after.
-- in: a list for each column of `new` below, but that the time now is the fourteenth, and each queue once the seventeenth
-- out: a row for each queue and state of what was created
-- index: jobs_by_id; queues_bounded, key_configs_bounded
WITH created AS (
  INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
                    backoff, labels, args, limit_key, created_at, state_at, policy, noted)
  SELECT nextval('numbers'), id, kind, version, queue, state, priority, place(rank, limit_key), run_at, max_attempts, max_crashes, timeout,
         backoff, labels, args, limit_key, $14, $14, policy, CASE WHEN limit_key IS NOT NULL THEN true END
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
              $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $15::text[], $16::text[], $18::text[])
    AS new (id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout, backoff, labels,
            args, policy, limit_key)
  WHERE (SELECT name FROM queues WHERE name = ANY ($17::text[]) AND config LIKE '%"max_waiting":%' LIMIT 1) IS NULL
    AND (SELECT key FROM key_configs WHERE config LIKE '%"max_waiting":%' LIMIT 1) IS NULL
  RETURNING queue, state, limit_key, kind, version, rank, seq
), arrived AS (
  INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
  SELECT queue, limit_key, kind, version, rank, seq, 'arrived' FROM created WHERE limit_key IS NOT NULL AND state = 'available'
)
INSERT INTO count_deltas (queue, state, n)
SELECT queue, state, count(*) FROM created GROUP BY queue, state
RETURNING queue
