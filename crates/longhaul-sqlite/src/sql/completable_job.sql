-- The running job of a lease, as far as a completion must know it.
-- in: id, token
-- out: seq, queue, unique_key, unique_period, cancel_by, batch, kind, attempt, started_at, steps, limit_key, held
-- index: jobs_by_id
SELECT seq, queue, unique_key, unique_period, cancel_by, batch, kind, attempt, started_at, steps, limit_key, held
FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'
