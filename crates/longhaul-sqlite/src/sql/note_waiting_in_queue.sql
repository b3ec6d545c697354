-- Notes the jobs that wait in a queue under its bound.
-- in: bound, queue    index: jobs_available, jobs_scheduled
INSERT INTO bounded_jobs (bound, job)
SELECT ?1, seq FROM jobs INDEXED BY jobs_available WHERE state = 'available' AND queue = ?2
UNION ALL
SELECT ?1, seq FROM jobs INDEXED BY jobs_scheduled WHERE state = 'scheduled' AND queue = ?2
