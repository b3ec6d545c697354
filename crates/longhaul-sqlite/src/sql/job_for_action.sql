-- What an action must know of a job. The conditions of the action's filter follow.
-- in: id, the filter's values
-- out: seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, limit_key, version, policy
-- index: jobs_by_id
SELECT seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, limit_key, version, policy
FROM jobs WHERE id = ?1
