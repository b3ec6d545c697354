-- Writes steps that another store has kept, in order.
-- in: jobs, names, outputs, attempts, finished_at and took of the steps
INSERT INTO steps (job, name, output, attempt, finished_at, took)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (job, name) DO NOTHING
