-- Notes that dependants have counted the end of a job.
-- in: job, the last of them    index: dependencies_awaited
UPDATE dependencies INDEXED BY dependencies_awaited SET settled = 1 WHERE job = ?1 AND settled = 0 AND dependant <= ?2
