-- The steps of jobs in the order in which they were recorded. The release before leaves the outputs of completed jobs in place.
-- in: jobs    out: job, name, attempt, finished_at, took, output (the last four null where they are not known)
-- index: the primary keys
SELECT steps.job, steps.name, steps.attempt, steps.finished_at, steps.took,
       CASE WHEN jobs.state <> 'completed' THEN nullif(steps.output, '') END
FROM steps JOIN jobs ON jobs.seq = steps.job
WHERE steps.job = ANY ($1::bigint[])
ORDER BY steps.job, steps.seq NULLS FIRST, steps.name
