-- Notes that dependants have counted the ends of jobs.
-- in: numbers and jobs of the ends, each job once; limit    out: job, dependant, on_failure    index: dependencies_awaited, the primary key
WITH next AS (
  SELECT ended.job, edge.dependant
  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS ended (n, job, turn)
  CROSS JOIN LATERAL (
    SELECT dependant FROM dependencies WHERE job = ended.job AND NOT settled AND dependant <= ended.n
    ORDER BY dependant LIMIT $3
  ) AS edge
  ORDER BY ended.turn, edge.dependant LIMIT $3
)
UPDATE dependencies SET settled = true
FROM next WHERE dependencies.job = next.job AND dependencies.dependant = next.dependant
RETURNING next.job, next.dependant, on_failure
