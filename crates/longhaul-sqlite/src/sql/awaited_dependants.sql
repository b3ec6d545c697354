-- The next dependants that have not counted the end of a job.
-- in: job, limit    out: dependant, on_failure    index: dependencies_awaited
SELECT dependant, on_failure FROM dependencies INDEXED BY dependencies_awaited
WHERE job = ?1 AND settled = 0 ORDER BY dependant LIMIT ?2
