-- The same with those that another process is at, once it has done its part.
-- in: limit    out: n, job, outcome    index: the primary key
SELECT n, job, outcome FROM ended_dependencies ORDER BY n LIMIT $1 FOR UPDATE
