-- The first job of a group.
-- in: limit_key, queue, kind, version    out: rank, seq, policy    index: jobs_of_group
SELECT rank, seq, policy FROM jobs INDEXED BY jobs_of_group
WHERE limit_key = ?1 AND state = 'available' AND queue = ?2 AND kind = ?3 AND version = ?4
ORDER BY rank, seq LIMIT 1
