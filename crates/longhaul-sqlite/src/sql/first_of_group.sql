-- The first job of a group whose time is not over; where there is none, the first.
-- in: limit_key, queue, kind, version, now    out: rank, seq, policy    index: jobs_of_group
SELECT * FROM (
  SELECT rank, seq, policy FROM jobs INDEXED BY jobs_of_group
  WHERE limit_key = ?1 AND state = 'available' AND queue = ?2 AND kind = ?3 AND version = ?4
    AND (ends_at IS NULL OR ends_at > ?5)
  ORDER BY rank, seq LIMIT 1
)
UNION ALL
SELECT * FROM (
  SELECT rank, seq, policy FROM jobs INDEXED BY jobs_of_group
  WHERE limit_key = ?1 AND state = 'available' AND queue = ?2 AND kind = ?3 AND version = ?4
  ORDER BY rank, seq LIMIT 1
)
LIMIT 1
