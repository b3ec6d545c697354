-- The steps of a job in the order in which they were recorded; one row of nulls where it has none.
-- in: id    out: name, attempt, finished_at, took, output (each null where it is not known)
-- The release before leaves the outputs of completed jobs in place.
-- index: jobs_by_id; the primary key
SELECT steps.name, steps.attempt, steps.finished_at, steps.took,
       CASE WHEN jobs.state <> 'completed' THEN nullif(steps.output, '') END
FROM jobs LEFT JOIN steps ON steps.job = jobs.seq
WHERE jobs.id = $1
ORDER BY steps.seq NULLS FIRST, steps.name
