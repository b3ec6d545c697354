-- Gives the next available jobs of some kinds and versions in a queue to a worker, and answers what it must know of
-- them; those whose limit key is paused are answered without a token and left as they are. What another process is just
-- taking is passed over. Where earlier attempts have written to a job's log, one more event number is left free before
-- the state's, for the `reset` that `claim.rs` then writes.
-- in: queue, kinds, versions, limit, now, worker, lease_until
-- out: id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
--      last_event, seq, priority, paused_until, rank (all as before the claim), token
-- index: jobs_available, once for each kind and version; the primary key
WITH next AS (
  SELECT j.*, p.until
  FROM unnest($2::text[], $3::bigint[]) AS lane (of_kind, of_version)
  CROSS JOIN LATERAL (
    SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
      log_event, last_event, seq, priority, rank, limit_key
    FROM jobs
    WHERE jobs.state = 'available' AND jobs.queue = $1
      AND jobs.kind = lane.of_kind AND jobs.version = lane.of_version
    ORDER BY jobs.rank, jobs.seq LIMIT $4
    FOR UPDATE SKIP LOCKED
  ) AS j
  LEFT JOIN pauses p ON p.limit_key = j.limit_key AND p.until > $5
  ORDER BY j.rank, j.seq LIMIT $4
), taken AS (
  UPDATE jobs SET
    state = 'running', token = nextval('numbers'), worker = $6, started_at = $5, state_at = $5, lease_until = $7,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0
  FROM next
  WHERE jobs.seq = next.seq AND next.until IS NULL
  RETURNING next.*, jobs.token
)
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
  last_event, seq, priority, until, rank, token
FROM taken
UNION ALL
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
  last_event, seq, priority, until, rank, NULL
FROM next WHERE until IS NOT NULL
