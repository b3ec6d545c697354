-- Notes that dependants have counted the ends of jobs. The edges are taken by their places, which no plan can look up the other way
-- round, however few the server believes there to be.
-- in: numbers and jobs of the ends, each job once; limit    out: job, dependant, on_failure    index: dependencies_awaited
UPDATE dependencies SET settled = true WHERE ctid = ANY (ARRAY(
  SELECT edge.place
  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS ended (n, job, turn)
  CROSS JOIN LATERAL (
    SELECT ctid AS place, dependant FROM dependencies WHERE job = ended.job AND NOT settled AND dependant <= ended.n
    ORDER BY dependant LIMIT $3
  ) AS edge
  ORDER BY ended.turn, edge.dependant LIMIT $3))
RETURNING job, dependant, on_failure
