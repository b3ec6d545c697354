-- Counts a dependency that has ended, where the job still waits for any.
-- in: job    out: how many are left    index: the primary key
UPDATE waits SET dependencies_left = dependencies_left - 1
WHERE job = ?1 AND waits_for = 'dependencies' RETURNING dependencies_left
