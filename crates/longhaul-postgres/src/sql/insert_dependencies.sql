-- Makes new jobs depend on others.
-- in: jobs, dependants, on_failure and settled of each    index: the primary keys
WITH added AS (
  INSERT INTO dependencies (job, dependant, on_failure, settled)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[])
  ON CONFLICT DO NOTHING
  RETURNING job
)
UPDATE jobs SET awaited = true WHERE seq = ANY (ARRAY(SELECT DISTINCT job FROM added)) AND awaited IS NULL
