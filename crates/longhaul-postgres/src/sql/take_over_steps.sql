-- Gives new jobs steps that are done already, in their order; the first of a name stays.
-- in: jobs, names, outputs, now    index: the primary keys
WITH added AS (
  INSERT INTO steps (job, name, output, attempt, finished_at, took)
  SELECT job, name, output, 0, $4, 0 FROM unnest($1::bigint[], $2::text[], $3::text[]) AS step (job, name, output)
  ON CONFLICT (job, name) DO NOTHING
  RETURNING job
)
UPDATE jobs SET steps = added.steps
FROM (SELECT job, count(*) AS steps FROM added GROUP BY job) AS added WHERE jobs.seq = added.job
