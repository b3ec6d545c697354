-- The lowest version above one, and up to another, of which a queue has available jobs of a kind.
-- in: queue, kind, above, up to    out: version    index: jobs_available, one step
SELECT version FROM jobs
WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version > ?3 AND version <= ?4
ORDER BY version LIMIT 1
