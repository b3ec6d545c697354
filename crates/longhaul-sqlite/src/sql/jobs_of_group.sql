-- The next jobs of a group behind a place, in the order of claims, with what their worker must know.
-- in: limit_key (with what the jobs prefer), queue, kind, version, rank, seq, limit
-- out: as claim_candidates.sql
-- index: jobs_of_group
SELECT id, kind, version, queue, args, attempt, max_attempts, policy, timeout, backoff, created_at, labels, steps,
  log_event, last_event, rank, seq, limit_key, run_at, unique_key, batch, ends_at, held
FROM jobs INDEXED BY jobs_of_group
WHERE limit_key = ?1 AND state = 'available' AND queue = ?2 AND kind = ?3 AND version = ?4 AND (rank, seq) > (?5, ?6)
ORDER BY rank, seq LIMIT ?7
