-- How many unfinished children of imported jobs are still to be imported.
-- in: jobs    out: job, children    index: the primary key
SELECT job, children FROM expected_children WHERE job = ANY ($1::bigint[])
