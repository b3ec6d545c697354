-- The running jobs of claims whose answers were lost.
-- in: numbers of the claims    out: id, token    index: jobs_running, all of it: rare, and there are few running jobs
SELECT id, token FROM jobs WHERE state = 'running' AND claim = ANY ($1::bigint[]) ORDER BY id
