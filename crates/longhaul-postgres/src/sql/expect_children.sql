-- Notes how many unfinished children of imported jobs are still to be imported.
-- in: jobs, children    index: the primary key
INSERT INTO expected_children (job, children) SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT (job) DO UPDATE SET children = excluded.children
