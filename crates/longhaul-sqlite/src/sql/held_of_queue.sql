-- The slots that the running jobs of a queue take.
-- in: queue    out: n    index: jobs_running
SELECT coalesce(sum(held), 0) FROM jobs WHERE state = 'running' AND queue = ?1
