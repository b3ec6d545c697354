-- The next jobs of one kind and version in a queue, in the order of claims, with what their worker must know. Jobs that have
-- limit keys stand behind 1 << 61, in their groups, but for those that an earlier release has made available.
-- in: queue, kind, version, limit
-- out: id, kind, version, queue, args, attempt, max_attempts, policy, timeout, backoff, created_at, labels, steps,
--      log_event, last_event, rank, seq, limit_key, run_at, unique_key, batch, ends_at, held
-- index: jobs_available
SELECT id, kind, version, queue, args, attempt, max_attempts, policy, timeout, backoff, created_at, labels, steps,
  log_event, last_event, rank, seq, limit_key, run_at, unique_key, batch, ends_at, held
FROM jobs
WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3 AND rank < (1 << 61)
ORDER BY rank, seq LIMIT ?4
