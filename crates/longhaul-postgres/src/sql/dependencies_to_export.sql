-- The jobs that jobs are known to depend on.
-- in: dependants    out: dependant, id, settled    index: dependencies_of; the primary keys
SELECT dependencies.dependant, jobs.id, dependencies.settled
FROM dependencies JOIN jobs ON jobs.seq = dependencies.job
WHERE dependencies.dependant = ANY ($1::bigint[]) ORDER BY dependencies.dependant, dependencies.job
