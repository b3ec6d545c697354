-- The jobs that a job is known to depend on.
-- in: dependant    out: id, settled    index: dependencies_of; the primary keys
SELECT jobs.id, dependencies.settled <> 0
FROM dependencies JOIN jobs ON jobs.seq = dependencies.job
WHERE dependencies.dependant = ?1 ORDER BY dependencies.job
