-- The next dependants that have not counted the end of a job, of those that were there when it ended.
-- in: job, limit, the newest number then    out: dependant, on_failure    index: dependencies_awaited
SELECT dependant, on_failure FROM dependencies INDEXED BY dependencies_awaited
WHERE job = ?1 AND settled = 0 AND dependant <= ?3 ORDER BY dependant LIMIT ?2
