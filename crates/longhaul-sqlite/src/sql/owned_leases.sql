-- What the dead owner of the lock file was running.
-- out: id, token, worker    index: jobs_running
SELECT id, token, worker FROM jobs
WHERE state = 'running' AND worker IN (SELECT id FROM workers WHERE owned = 1)
