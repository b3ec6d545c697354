-- The same as finish_and_claim.sql, of which see all that is not said here, where jobs have limit keys: those of keys for which no limits
-- are set are claimed in their order, among those without keys. No group of theirs is looked at. What they take of their keys and give
-- back is noted here (see 0010_noted.sql), by the sum of each. Nothing is claimed where one of the next jobs, or a run that has ended, has
-- a key with limits or one that is paused; where one of them prefers workers; and where there is no job: other statements look after
-- those, and after jobs that have come and are not in their groups yet.
--
-- in: as finish_and_claim.sql    out: as finish_and_claim.sql; rank is the place among jobs with keys where a job has some; 1 as token where
--     nothing was claimed because there is no job
-- index: jobs_by_id; jobs_scheduled; jobs_waking; the primary keys of paused_queues and fair_queues, queues_limited, once for each
--        source; jobs_available, twice for each source and version; the primary keys of key_configs and pauses, once for each key where
--        there are any; the primary key of steps, where there are any
WITH ended AS (
  UPDATE jobs SET
    state = 'completed', state_at = $8, finished_at = $8, kept_from = $8, output = run.output, lease_until = NULL,
    last_event = last_event + 2, state_event = last_event + 2,
    noted = CASE WHEN limit_key IS NOT NULL THEN noted IS NOT TRUE END
  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS run (id, token, output)
  WHERE jobs.id = run.id AND jobs.token = run.token AND jobs.lease_until IS NOT NULL
    AND jobs.unique_key IS NULL AND jobs.batch IS NULL AND jobs.cancel_by IS NULL
    AND jobs.awaited IS NULL AND jobs.children_total IS NULL
  RETURNING jobs.id, jobs.token, queue, kind, attempt, started_at, seq, steps, limit_key, limited, policy
), forgotten AS (
  UPDATE steps SET output = '' WHERE ctid = ANY (ARRAY(
    SELECT step.ctid FROM ended CROSS JOIN LATERAL (SELECT ctid FROM steps WHERE job = ended.seq OFFSET 0) AS step
    WHERE ended.steps > 0))
), way AS MATERIALIZED (
  SELECT (SELECT count(*) FROM ended WHERE limited IS NULL) = cardinality($1::text[])
    AND NOT EXISTS (SELECT FROM jobs WHERE state = 'scheduled' AND run_at <= $8)
    AND NOT EXISTS (SELECT FROM jobs WHERE state = 'blocked' AND wakes_at <= $8)
    AND NOT EXISTS (
      SELECT FROM unnest($4::text[]) AS source (queue)
      WHERE (SELECT queue FROM fair_queues WHERE queue = source.queue) IS NOT NULL
        OR (SELECT name FROM queues WHERE name = source.queue AND (config LIKE '%"slots":%' OR config LIKE '%"rate":%')) IS NOT NULL
    ) AS is_free
), next AS MATERIALIZED (
  SELECT j.*, row_number() OVER (PARTITION BY source.queue ORDER BY j.own_rank, j.seq) <= source.slots AS is_next
  FROM unnest($4::text[], $5::text[], $6::bigint[], $7::bigint[]) AS source (queue, kind, newest, slots)
  CROSS JOIN LATERAL (
    SELECT generate_series(1, least(source.newest, 4)) AS version
    UNION ALL
    SELECT version FROM (
      WITH RECURSIVE present AS (
        (SELECT version FROM jobs
         WHERE state = 'available' AND queue = source.queue AND kind = source.kind
           AND version > 4 AND version <= source.newest
         ORDER BY version LIMIT 1)
        UNION ALL
        SELECT (SELECT j.version FROM jobs j
                WHERE j.state = 'available' AND j.queue = source.queue AND j.kind = source.kind
                  AND j.version > present.version AND j.version <= source.newest
                ORDER BY j.version LIMIT 1)
        FROM present WHERE present.version IS NOT NULL
      )
      SELECT version FROM present
    ) AS rare WHERE source.newest > 4 AND version IS NOT NULL
  ) AS versions
  CROSS JOIN LATERAL (
    SELECT * FROM (
      SELECT ctid AS place, rank AS own_rank, seq, log_event, limit_key FROM jobs
      WHERE jobs.state = 'available' AND jobs.queue = source.queue
        AND jobs.kind = source.kind AND jobs.version = versions.version
        AND jobs.rank < 576460752303423488
        AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $8) IS NOT FALSE
      ORDER BY jobs.rank, jobs.seq LIMIT CASE WHEN (SELECT is_free FROM way) THEN source.slots ELSE 0 END
      FOR UPDATE SKIP LOCKED
    ) AS plain
    UNION ALL
    SELECT * FROM (
      SELECT ctid AS place, rank - 1152921504606846976, seq, log_event, limit_key FROM jobs
      WHERE jobs.state = 'available' AND jobs.queue = source.queue
        AND jobs.kind = source.kind AND jobs.version = versions.version
        AND jobs.rank >= 576460752303423488
        AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $8) IS NOT FALSE
      ORDER BY jobs.rank, jobs.seq LIMIT CASE WHEN (SELECT is_free FROM way) THEN source.slots ELSE 0 END
      FOR UPDATE SKIP LOCKED
    ) AS keyed
  ) AS j
  WHERE (SELECT queue FROM paused_queues WHERE paused_queues.queue = source.queue) IS NULL
), verdict AS MATERIALIZED (
  SELECT CASE
    WHEN NOT is_free OR is_empty THEN false
    WHEN EXISTS (SELECT FROM next WHERE is_next AND strpos(limit_key, ';') > 0) THEN false
    ELSE are_unlimited(ARRAY(
      SELECT limit_key FROM ended WHERE limit_key IS NOT NULL
      UNION SELECT limit_key FROM next WHERE is_next AND limit_key IS NOT NULL), $8)
  END AS is_free, is_free AND is_empty AS is_empty
  FROM way CROSS JOIN (SELECT cardinality($4::text[]) > 0 AND NOT EXISTS (SELECT FROM next) AS is_empty) AS jobs
), claimed AS (
  UPDATE jobs SET
    state = 'running',
    token = greatest(jobs.token + 1, (extract(epoch FROM clock_timestamp()) * 4000000)::bigint + floor(random() * 4)::bigint),
    claim = $12, worker = $9, started_at = $8, state_at = $8, lease_until = $10,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0,
    noted = CASE WHEN jobs.limit_key IS NOT NULL THEN jobs.noted IS NOT TRUE END
  FROM next
  WHERE jobs.ctid = next.place AND next.is_next AND (SELECT is_free FROM verdict)
  RETURNING jobs.id, jobs.token, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at,
    labels, steps, last_event, jobs.seq, jobs.rank, next.log_event, policy, run_at, deadline, jobs.limit_key
), resets AS (
  INSERT INTO events (job, seq, at, attempt, body)
  SELECT seq, last_event - 1, $8, attempt, $11 FROM claimed WHERE log_event > 0
), noted AS (
  INSERT INTO slot_changes (limit_key, change)
  SELECT limit_key, sum(change)::bigint FROM (
    SELECT limit_key, -slots_of(policy) AS change FROM ended WHERE limit_key IS NOT NULL
    UNION ALL SELECT limit_key, slots_of(policy) FROM claimed WHERE limit_key IS NOT NULL
  ) AS taken GROUP BY limit_key HAVING sum(change) <> 0
), counted AS (
  INSERT INTO count_deltas (queue, state, n)
  SELECT queue, state, sum(n) FROM (
    SELECT queue, count(*) AS n, 'completed' AS state FROM ended GROUP BY queue
    UNION ALL SELECT queue, -count(*), 'running' FROM ended GROUP BY queue
    UNION ALL SELECT queue, count(*), 'running' FROM claimed GROUP BY queue
    UNION ALL SELECT queue, -count(*), 'available' FROM claimed GROUP BY queue
  ) AS moved GROUP BY queue, state HAVING sum(n) <> 0
)
SELECT id, token, kind, NULL::bigint, queue, NULL, attempt, (CASE WHEN limit_key IS NOT NULL THEN 1 END)::bigint, (CASE WHEN limited THEN 1 END)::bigint, NULL, NULL::bigint,
  NULL, NULL::text[], NULL::bigint, NULL::bigint, NULL, started_at, NULL::bigint
FROM ended
UNION ALL
SELECT id, token, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels,
  CASE WHEN claimed.steps > 0 THEN ARRAY(
    SELECT unnest(ARRAY[s.name, s.output]) FROM steps s WHERE s.job = claimed.seq AND s.output <> '') END,
  rank, seq, policy, run_at, deadline
FROM claimed
UNION ALL
SELECT NULL, CASE WHEN is_empty THEN 1 END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM verdict WHERE NOT is_free
