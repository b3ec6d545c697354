-- Gives the next available jobs of some kinds in a queue to a worker, and answers what it must know of them; those whose
-- limit key is paused are answered without a token and left as they are. What another process is just taking is passed
-- over, and nothing taken while the queue is paused. Where earlier attempts have written to a job's log, one more event number is left free before the state's, for
-- the `reset` that `claim.rs` then writes. See finish_and_claim.sql on versions and tokens.
-- in: queue, kinds, newest version of each, limit, now, worker, lease_until, number of the claim
-- out: id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
--      last_event, seq, priority, paused_until, rank (all as before the claim), token, policy, run_at
-- index: the primary key of paused_queues; jobs_available, once for each kind and version; the primary key
WITH next AS (
  SELECT j.*, p.until
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
      log_event, last_event, seq, priority, rank, limit_key, policy, run_at
    FROM jobs
    WHERE jobs.state = 'available' AND jobs.queue = $1
      AND jobs.kind = source.of_kind AND jobs.version = versions.of_version
    ORDER BY jobs.rank, jobs.seq LIMIT $4
    FOR UPDATE SKIP LOCKED
  ) AS j
  LEFT JOIN pauses p ON p.limit_key = j.limit_key AND p.until > $5
  WHERE NOT EXISTS (SELECT FROM paused_queues WHERE queue = $1)
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
  WHERE jobs.seq = next.seq AND next.until IS NULL
  RETURNING next.*, jobs.token
)
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
  last_event, seq, priority, until, rank, token, policy, run_at
FROM taken
UNION ALL
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event,
  last_event, seq, priority, until, rank, NULL, policy, run_at
FROM next WHERE until IS NOT NULL
