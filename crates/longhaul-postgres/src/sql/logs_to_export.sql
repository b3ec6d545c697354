-- The logs of jobs.
-- in: jobs    out: job, seq, at, attempt, body    index: the primary key
SELECT job, seq, at, attempt, body FROM events WHERE job = ANY ($1::bigint[]) ORDER BY job, seq
