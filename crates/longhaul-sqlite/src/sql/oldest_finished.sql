-- The oldest finished jobs of a queue and state, of those from which retention counts up to a moment.
-- in: queue, state, kept_from, limit    out: seq    index: jobs_finished
SELECT seq FROM jobs
WHERE queue = ?1 AND state = ?2 AND kept_from IS NOT NULL AND kept_from <= ?3
ORDER BY kept_from, seq LIMIT ?4
