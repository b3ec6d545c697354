-- What the run of a lease takes of its limit keys; none where the job has no keys.
-- in: id, token    out: limit_key, policy    index: jobs_by_id
SELECT limit_key, policy FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running' AND limit_key IS NOT NULL
