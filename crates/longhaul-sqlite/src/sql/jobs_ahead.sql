-- The number of available jobs of a kind and version that are claimed before a given one, counted up to a limit: of those without
-- limit keys, and of those with.
-- in: queue, kind, version, rank, rank among those with limit keys, seq, limit    out: n    index: jobs_available
SELECT count(*) FROM (
  SELECT 1 FROM jobs
  WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3 AND (rank, seq) < (?4, ?6)
  UNION ALL
  SELECT 1 FROM jobs
  WHERE state = 'available' AND queue = ?1 AND kind = ?2 AND version = ?3
    AND rank >= (1 << 61) AND (rank, seq) < (?5, ?6)
  LIMIT ?7
)
