-- The next ends of jobs that dependants have not counted, held for this transaction. What another process is at is left to it.
-- in: limit    out: n, job, outcome    index: the primary key
SELECT n, job, outcome FROM ended_dependencies ORDER BY n LIMIT $1 FOR UPDATE SKIP LOCKED
