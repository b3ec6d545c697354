-- The running job of a lease, as far as a completion must know it.
-- in: id, token
-- out: seq, queue, cancel_by, batch, kind, attempt, started_at, steps, limit_key, held, ends_at, unique_key, unique_period,
--      policy (of a job with a unique key)
-- index: jobs_by_id
SELECT seq, queue, cancel_by, batch, kind, attempt, started_at, steps, limit_key, held, ends_at, unique_key, unique_period,
       iif(unique_key IS NULL, NULL, policy) AS policy
FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'
