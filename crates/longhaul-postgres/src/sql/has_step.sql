-- True where a job has a step of a name.
-- in: job, name    out: true    index: the primary key
SELECT true FROM steps WHERE job = $1 AND name = $2
