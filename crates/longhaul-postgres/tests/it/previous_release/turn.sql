-- A worker's turn in one statement, and so in one message to the server and one commit: completes runs of which nobody
-- else must hear, and gives the next available jobs to the worker. A run is left alone, and not answered, where it has a
-- unique key, a batch, was asked to stop, or its lease is lost. Nothing is claimed where a run was left alone, a scheduled
-- job is due, or a limit key is paused: those are looked after by other statements first.
-- in: ids, tokens, outputs of the runs; queues, kinds, versions, slots of the lanes; now, worker, lease_until,
--     the body of a reset
-- out: a row for each ended run: id, token; for each claimed job: id, token, kind, version, queue, args, attempt,
--      max_attempts, timeout, backoff, created_at, labels, names and outputs of the steps, rank, seq; and one of nulls where
--      nothing was claimed for one of these reasons
-- index: jobs_by_id; jobs_scheduled; jobs_available, once for each lane; the primary keys of steps
WITH ended AS (
  UPDATE jobs SET
    state = 'completed', state_at = $8, finished_at = $8, kept_from = $8, output = run.output, lease_until = NULL,
    last_event = last_event + 2, state_event = last_event + 2
  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS run (id, token, output)
  WHERE jobs.id = run.id AND jobs.token = run.token AND jobs.lease_until IS NOT NULL
    AND jobs.unique_key IS NULL AND jobs.batch IS NULL AND jobs.cancel_by IS NULL
  RETURNING jobs.id, jobs.token, jobs.queue
), way AS MATERIALIZED (
  SELECT (SELECT count(*) FROM ended) = cardinality($1::text[])
    AND NOT EXISTS (SELECT FROM jobs WHERE state = 'scheduled' AND run_at <= $8)
    AND NOT EXISTS (SELECT FROM pauses WHERE until > $8) AS is_free
), next AS (
  SELECT j.*, row_number() OVER (PARTITION BY lane.queue ORDER BY j.rank, j.seq) <= lane.slots AS is_next
  FROM unnest($4::text[], $5::text[], $6::bigint[], $7::bigint[]) AS lane (queue, kind, version, slots)
  CROSS JOIN LATERAL (
    SELECT ctid AS place, rank, seq, log_event
    FROM jobs
    WHERE jobs.state = 'available' AND jobs.queue = lane.queue
      AND jobs.kind = lane.kind AND jobs.version = lane.version
    ORDER BY jobs.rank, jobs.seq LIMIT CASE WHEN (SELECT is_free FROM way) THEN lane.slots ELSE 0 END
    FOR UPDATE SKIP LOCKED
  ) AS j
), claimed AS (
  UPDATE jobs SET
    state = 'running', token = nextval('numbers'), worker = $9, started_at = $8, state_at = $8, lease_until = $10,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0
  FROM next
  WHERE jobs.ctid = next.place AND next.is_next
  RETURNING jobs.id, jobs.token, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at,
    labels, steps, last_event, jobs.seq, jobs.rank, next.log_event
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
SELECT id, token, NULL AS kind, NULL::bigint, NULL, NULL, NULL::bigint, NULL::bigint, NULL::bigint, NULL, NULL::bigint,
  NULL, NULL::text[], NULL::text[], NULL::bigint, NULL::bigint
FROM ended
UNION ALL
SELECT id, token, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels,
  CASE WHEN claimed.steps > 0 THEN ARRAY(SELECT s.name FROM steps s WHERE s.job = claimed.seq ORDER BY s.name) END,
  CASE WHEN claimed.steps > 0 THEN ARRAY(SELECT s.output FROM steps s WHERE s.job = claimed.seq ORDER BY s.name) END,
  rank, seq
FROM claimed
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM way WHERE NOT is_free
