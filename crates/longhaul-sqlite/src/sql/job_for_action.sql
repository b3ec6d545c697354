-- The columns of a job that an action needs. The conditions of the action's filter follow.
-- in: id, the filter's values
-- out: seq, queue, state, priority, batch, cancel_by, kind, attempt, run_at, limit_key, version, policy, unique_key,
--      unique_period, policy (of a job with a unique key), waits_for (of a blocked job)
-- index: jobs_by_id
SELECT seq, queue, state, priority, batch, cancel_by, kind, attempt, run_at, limit_key, version, policy,
  unique_key, unique_period, iif(unique_key IS NULL, NULL, policy) AS beside,
  iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL)
FROM jobs WHERE id = ?1
