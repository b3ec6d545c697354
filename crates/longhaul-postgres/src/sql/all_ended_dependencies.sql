-- The same with those that another process is at, once it has done its part.
-- in: limit    out: n, job, outcome    index: the primary key; ended_dependencies_of
SELECT n, job, outcome FROM ended_dependencies AS ended
WHERE n = (SELECT min(first.n + 0) FROM ended_dependencies AS first WHERE first.job = ended.job)
ORDER BY n LIMIT $1 FOR UPDATE OF ended
