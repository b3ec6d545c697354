-- The number of available jobs of a queue, kind and version, counted up to a limit.
-- in: queue, kind, version, limit    out: n    index: jobs_available
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3 LIMIT ?4
)
