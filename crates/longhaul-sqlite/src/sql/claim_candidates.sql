-- The next jobs of one kind and version in a queue, in the order of claims.
-- in: queue, kind, version, limit    out: rank, seq    index: jobs_available, alone
SELECT rank, seq FROM jobs
WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3
ORDER BY rank, seq LIMIT ?4
