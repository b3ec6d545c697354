-- Running jobs whose worker was not heard of in time.
-- in: now, limit    out: id, token    index: jobs_running
SELECT id, token FROM jobs WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until LIMIT $2
FOR UPDATE SKIP LOCKED
