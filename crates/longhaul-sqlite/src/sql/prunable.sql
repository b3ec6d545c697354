-- The oldest finished jobs of a queue and state, up to a time.
-- in: queue, state, until, limit    out: seq    index: jobs_finished
SELECT seq FROM jobs WHERE queue = ?1 AND state = ?2 AND kept_from IS NOT NULL AND kept_from <= ?3
ORDER BY kept_from, seq LIMIT ?4
