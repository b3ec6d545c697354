-- The leases of the jobs that the dead owner of the lock file was running.
-- out: id, token    index: jobs_running
SELECT id, token FROM jobs
WHERE state = 'running' AND worker IN (SELECT id FROM workers WHERE owned = 1)
