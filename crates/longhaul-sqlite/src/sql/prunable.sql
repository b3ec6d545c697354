-- The oldest finished jobs of a queue and state, up to one of them.
-- in: queue, state, kept_from, seq, limit    out: seq    index: jobs_finished
SELECT seq FROM jobs
WHERE queue = ?1 AND state = ?2 AND kept_from IS NOT NULL AND (kept_from, seq) <= (?3, ?4)
ORDER BY kept_from, seq LIMIT ?5
