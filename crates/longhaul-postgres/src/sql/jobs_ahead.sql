-- The number of available jobs of a kind and version that are claimed before a given one, counted up to a limit: those without
-- limit keys, and those with.
-- in: queue, kind, version, rank, seq, limit    out: n    index: jobs_available
SELECT count(*) FROM (
  (SELECT 1 FROM jobs
   WHERE state = 'available' AND queue = $1 AND kind = $2 AND version = $3 AND (rank, seq) < ($4, $5)
   LIMIT $6)
  UNION ALL
  (SELECT 1 FROM jobs
   WHERE state = 'available' AND queue = $1 AND kind = $2 AND version = $3 AND rank >= 576460752303423488
     AND (rank, seq) < (place($4, ''), $5)
   LIMIT $6)
  LIMIT $6
) AS ahead
