-- Completes runs and gives the next available jobs to their worker, in one statement, and so in one message to the server
-- and one commit. A run is left alone, and not answered, where it has a unique key, a parent, children, dependants, was asked to stop, or
-- its lease is lost. Nothing is claimed where a run was left alone or has limits, a scheduled job is due or a wait is over, a queue is fair or has limits, or
-- groups of jobs with limit keys are to be looked at: other statements look after those. Of paused queues nothing is taken,
-- and no job whose time is over.
--
-- `lease_until` is set while a job runs. A run is looked up by its id alone: a condition on `state` would let the planner
-- take jobs_running, whose rows it believes to be few.
--
-- Versions up to 4 are looked up as they are; of higher ones, those that are there are found first, so that a version
-- which is a date costs no more than another.
--
-- A token is the server's time in quarters of a microsecond, drawn within the last one, and higher than the row's last:
-- unlike a sequence it does not repeat on a server to which not all of the last one's log has come. It stays below 2^53,
-- where JSON's numbers end, until 2041.
--
-- in: ids, tokens, outputs of the runs; queues, kinds, newest versions, slots of the claim's sources; now, worker,
--     lease_until, the body of a reset, number of the claim
-- out: a row for each ended run: id, token, kind, attempt, queue, since (when it began), and 1 as max_attempts where it has limit keys and as timeout where its queue has limits; for each claimed job: id, token, kind, version, queue, args, attempt,
--      max_attempts, timeout, backoff, created_at, labels, name and output of each step in turn, rank, seq, policy, since (when it fell due), deadline;
--      and one of nulls where nothing was claimed for one of these reasons
-- index: jobs_by_id; jobs_scheduled; jobs_waking; the primary keys of paused_queues and fair_queues, queues_limited, arrivals_of_queue, limit_groups_open and
--        limit_gates_of_queue, once for each source, jobs_available, once for each
--        source and version; the primary key of steps, where there are any
WITH ended AS (
  UPDATE jobs SET
    state = 'completed', state_at = $8, finished_at = $8, kept_from = $8, output = run.output, lease_until = NULL,
    last_event = last_event + 2, state_event = last_event + 2
  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS run (id, token, output)
  WHERE jobs.id = run.id AND jobs.token = run.token AND jobs.lease_until IS NOT NULL
    AND jobs.unique_key IS NULL AND jobs.batch IS NULL AND jobs.cancel_by IS NULL
    AND jobs.awaited IS NULL AND jobs.children_total IS NULL
  RETURNING jobs.id, jobs.token, queue, kind, attempt, started_at, seq, steps, limit_key, limited
), forgotten AS (
  -- By their places, which no plan can look up the other way round.
  UPDATE steps SET output = '' WHERE ctid = ANY (ARRAY(
    SELECT step.ctid FROM ended CROSS JOIN LATERAL (SELECT ctid FROM steps WHERE job = ended.seq OFFSET 0) AS step
    WHERE ended.steps > 0))
), way AS MATERIALIZED (
  SELECT (SELECT count(*) FROM ended WHERE limit_key IS NULL AND limited IS NULL) = cardinality($1::text[])
    AND NOT EXISTS (SELECT FROM jobs WHERE state = 'scheduled' AND run_at <= $8)
    AND NOT EXISTS (SELECT FROM jobs WHERE state = 'blocked' AND wakes_at <= $8)
    AND NOT EXISTS (
      SELECT FROM unnest($4::text[], $5::text[], $6::bigint[]) AS source (queue, kind, newest)
      -- Values, and no joins: these tables are empty nearly always.
      WHERE (SELECT queue FROM fair_queues WHERE queue = source.queue) IS NOT NULL
        OR (SELECT name FROM queues WHERE name = source.queue AND (config LIKE '%"slots":%' OR config LIKE '%"rate":%')) IS NOT NULL
        OR (SELECT queue FROM arrivals WHERE queue = source.queue LIMIT 1) IS NOT NULL
        OR (SELECT queue FROM limit_groups
            WHERE closed_by IS NULL AND queue = source.queue AND kind = source.kind AND version <= source.newest
            LIMIT 1) IS NOT NULL
        OR (SELECT queue FROM limit_gates
            WHERE queue = source.queue AND kind = source.kind AND opens_at <= $8 AND version <= source.newest
            LIMIT 1) IS NOT NULL
    ) AS is_free
), next AS (
  SELECT j.*, row_number() OVER (PARTITION BY source.queue ORDER BY j.rank, j.seq) <= source.slots AS is_next
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
    SELECT ctid AS place, rank, seq, log_event
    FROM jobs
    WHERE jobs.state = 'available' AND jobs.queue = source.queue
      AND jobs.kind = source.kind AND jobs.version = versions.version
      AND jobs.rank < 576460752303423488
      AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $8) IS NOT FALSE
    ORDER BY jobs.rank, jobs.seq LIMIT CASE WHEN (SELECT is_free FROM way) THEN source.slots ELSE 0 END
    FOR UPDATE SKIP LOCKED
  ) AS j
  -- One value and no join: it is asked of each source, by its key, before any job is looked at.
  WHERE (SELECT queue FROM paused_queues WHERE paused_queues.queue = source.queue) IS NULL
), claimed AS (
  UPDATE jobs SET
    state = 'running',
    token = greatest(jobs.token + 1, (extract(epoch FROM clock_timestamp()) * 4000000)::bigint + floor(random() * 4)::bigint),
    claim = $12, worker = $9, started_at = $8, state_at = $8, lease_until = $10,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0
  FROM next
  WHERE jobs.ctid = next.place AND next.is_next
  RETURNING jobs.id, jobs.token, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at,
    labels, steps, last_event, jobs.seq, jobs.rank, next.log_event, policy, run_at, deadline
), resets AS (
  INSERT INTO events (job, seq, at, attempt, body)
  SELECT seq, last_event - 1, $8, attempt, $11 FROM claimed WHERE log_event > 0
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
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM way WHERE NOT is_free
