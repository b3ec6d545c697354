-- Gives the next available jobs without limit keys of some kinds in a queue to a worker, and answers what it must know of
-- them. What another process is just taking is passed over, and so are jobs whose time is over; nothing is taken while the queue is paused; nor where groups of
-- jobs with limit keys are to be looked at together with them, unless they are to be passed over: a row of nulls says so. Of
-- a fair queue, whose turns are counted there, and of one with limits, nothing is taken then either. Where earlier attempts have written to a job's
-- log, one more event number is left free before the state's, for the `reset` that `claim.rs` then writes. See
-- finish_and_claim.sql on versions and tokens.
-- in: queue, kinds, newest version of each, limit, now, worker, lease_until, number of the claim, true where groups are passed over
-- out: id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
--      last_event, seq, rank (all as before the claim), token, policy, run_at, deadline
-- index: the primary keys of paused_queues and fair_queues; queues_limited; arrivals_of_queue; limit_groups_open and limit_gates_of_queue,
--        once for each kind; jobs_available, once for each kind and version; the primary key
WITH way AS MATERIALIZED (
  SELECT is_ordered OR NOT $9 AND (
      EXISTS (SELECT FROM arrivals WHERE queue = $1)
      OR EXISTS (
        SELECT FROM unnest($2::text[], $3::bigint[]) AS source (kind, newest)
        WHERE (SELECT queue FROM limit_groups
               WHERE closed_by IS NULL AND queue = $1 AND limit_groups.kind = source.kind AND version <= newest
               LIMIT 1) IS NOT NULL
          OR (SELECT queue FROM limit_gates
              WHERE queue = $1 AND limit_gates.kind = source.kind AND opens_at <= $5 AND version <= newest
              LIMIT 1) IS NOT NULL)
    ) AS is_keyed
  FROM (
    SELECT EXISTS (SELECT FROM fair_queues WHERE queue = $1)
      OR (SELECT name FROM queues WHERE name = $1 AND (config LIKE '%"slots":%' OR config LIKE '%"rate":%')) IS NOT NULL AS is_ordered
  ) AS queue
), next AS (
  SELECT j.*
  FROM unnest($2::text[], $3::bigint[]) AS source (of_kind, newest)
  CROSS JOIN LATERAL (
    SELECT generate_series(1, least(newest, 4)) AS of_version
    UNION ALL
    SELECT version FROM (
      WITH RECURSIVE present AS (
        (SELECT version FROM jobs
         WHERE state = 'available' AND queue = $1 AND kind = of_kind AND version > 4 AND version <= newest
         ORDER BY version LIMIT 1)
        UNION ALL
        SELECT (SELECT j.version FROM jobs j
                WHERE j.state = 'available' AND j.queue = $1 AND j.kind = of_kind
                  AND j.version > present.version AND j.version <= newest
                ORDER BY j.version LIMIT 1)
        FROM present WHERE present.version IS NOT NULL
      )
      SELECT version FROM present
    ) AS rare WHERE newest > 4 AND version IS NOT NULL
  ) AS versions
  CROSS JOIN LATERAL (
    SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
      log_event, last_event, seq, rank, policy, run_at, deadline
    FROM jobs
    WHERE jobs.state = 'available' AND jobs.queue = $1 AND jobs.kind = source.of_kind
      AND jobs.version = versions.of_version AND jobs.rank < 576460752303423488
      AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $5) IS NOT FALSE
    ORDER BY jobs.rank, jobs.seq LIMIT $4
    FOR UPDATE SKIP LOCKED
  ) AS j
  WHERE NOT EXISTS (SELECT FROM paused_queues WHERE queue = $1) AND NOT (SELECT is_keyed FROM way)
  ORDER BY j.rank, j.seq LIMIT $4
), taken AS (
  UPDATE jobs SET
    state = 'running',
    token = greatest(jobs.token + 1, (extract(epoch FROM clock_timestamp()) * 4000000)::bigint + floor(random() * 4)::bigint),
    claim = $8, worker = $6, started_at = $5, state_at = $5, lease_until = $7,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0
  FROM next
  WHERE jobs.seq = next.seq
  RETURNING next.*, jobs.token
)
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
  last_event, seq, rank, token, policy, run_at, deadline
FROM taken
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM way WHERE is_keyed
