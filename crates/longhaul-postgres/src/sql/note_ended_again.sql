-- Has the end of jobs counted by those dependants that have not counted it.
-- in: jobs, their outcomes
INSERT INTO ended_dependencies (job, outcome) SELECT * FROM unnest($1::bigint[], $2::text[])
