-- The first available job of a lane at or behind a rank: of those with limit keys, or of those without.
-- in: queue, kind, version, rank    out: rank, seq, run_at    index: jobs_available, one step
SELECT rank, seq, run_at FROM jobs
WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3 AND rank >= ?4
ORDER BY rank, seq LIMIT 1
