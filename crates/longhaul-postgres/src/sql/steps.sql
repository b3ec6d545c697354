-- The outputs of the steps of some jobs.
-- in: jobs    out: job, name, output    index: the primary key
SELECT job, name, output FROM steps WHERE job = ANY ($1::bigint[]) AND output <> ''
