-- The parents of jobs, the parents of those, and so on.
-- in: ids, the most generations    out: id, parent or null (each job once)    index: jobs_by_id
WITH RECURSIVE line (id, parent, generation) AS (
  SELECT id, parent, 1 FROM jobs WHERE id = ANY ($1::text[])
  UNION
  SELECT jobs.id, jobs.parent, generation + 1
  FROM line JOIN jobs ON jobs.id = line.parent
  WHERE generation < $2::int4
)
SELECT DISTINCT id, parent FROM line
