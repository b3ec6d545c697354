-- Forgets ends that all dependants have counted, and of jobs that were removed meanwhile what depended on them. Values and no
-- joins, so that no plan looks at all that depends on anything.
-- in: numbers    index: the primary keys; dependencies_awaited
WITH done AS (
  DELETE FROM ended_dependencies AS ended WHERE n = ANY ($1::bigint[]) AND (
    SELECT dependant FROM dependencies
    WHERE dependencies.job = ended.job AND NOT settled AND dependant <= ended.n ORDER BY dependant LIMIT 1) IS NULL
  RETURNING job
)
DELETE FROM dependencies WHERE ctid = ANY (ARRAY(
  SELECT edge.place
  FROM done CROSS JOIN LATERAL (
    SELECT ctid AS place FROM dependencies WHERE dependencies.job = done.job AND settled
    AND (SELECT seq FROM jobs WHERE seq = done.job) IS NULL OFFSET 0
  ) AS edge))
