-- The number of available jobs of a group, counted up to a limit.
-- in: limit_key, queue, kind, version, limit    out: n    index: jobs_of_group
SELECT count(*) FROM (
  SELECT 1 FROM jobs INDEXED BY jobs_of_group
  WHERE limit_key = ?1 AND state = 'available' AND queue = ?2 AND kind = ?3 AND version = ?4 LIMIT ?5
)
