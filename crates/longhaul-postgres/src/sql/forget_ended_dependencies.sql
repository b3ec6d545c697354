-- Forgets ends that all dependants have counted, and of jobs that were removed meanwhile what depended on them.
-- in: numbers    index: the primary keys; dependencies_awaited
WITH done AS (
  DELETE FROM ended_dependencies WHERE n = ANY ($1::bigint[]) AND NOT EXISTS (
    SELECT FROM dependencies
    WHERE dependencies.job = ended_dependencies.job AND NOT settled AND dependant <= ended_dependencies.n)
  RETURNING job
)
DELETE FROM dependencies
WHERE job = ANY (ARRAY(SELECT job FROM done WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.seq = done.job))) AND settled
