-- The next jobs of some kinds and versions in a queue, in the order of claims, with what their worker must know, and
-- when the pause of their limit key ends. What another process is just taking is passed over.
-- in: queue, kinds, versions, limit, now
-- out: id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
--      log_event, last_event, seq, priority, paused_until
-- index: jobs_available, once for each kind and version
SELECT j.id, j.kind, j.version, j.queue, j.args, j.attempt, j.max_attempts, j.timeout, j.backoff, j.created_at,
  j.labels, j.steps, j.log_event, j.last_event, j.seq, j.priority, p.until
FROM unnest($2::text[], $3::bigint[]) AS lane (kind, version)
CROSS JOIN LATERAL (
  SELECT * FROM jobs
  WHERE jobs.state = 'available' AND jobs.queue = $1 AND jobs.kind = lane.kind AND jobs.version = lane.version
  ORDER BY jobs.rank, jobs.seq LIMIT $4
  FOR UPDATE SKIP LOCKED
) AS j
LEFT JOIN pauses p ON p.limit_key = j.limit_key AND p.until > $5
ORDER BY j.rank, j.seq LIMIT $4
