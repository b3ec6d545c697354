-- The next ends of jobs that dependants have not counted, the first of each job, held for this transaction. What another process is at is left to it.
-- in: limit    out: n, job, outcome    index: the primary key; ended_dependencies_of
SELECT n, job, outcome FROM ended_dependencies AS ended
WHERE n = (SELECT min(first.n + 0) FROM ended_dependencies AS first WHERE first.job = ended.job)
ORDER BY n LIMIT $1 FOR UPDATE OF ended SKIP LOCKED
