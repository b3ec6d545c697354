-- The running job of a lease.
-- in: id, token
-- out: seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, run_at, last_event, log_event, log_entries,
--      log_bytes, priority, errors, limit_key, batch, kind, started_at, steps,
--      version, policy (of a job with limit keys), held, cancel_reason, ends_at,
--      unique_key, unique_period, policy (of a job with a unique key)
-- index: jobs_by_id
SELECT seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, run_at, last_event, log_event, log_entries,
       log_bytes, priority, errors, limit_key, batch, kind, started_at, steps,
       version, iif(limit_key IS NULL, NULL, policy) AS policy, held, cancel_reason, ends_at,
       unique_key, unique_period, iif(unique_key IS NULL, NULL, policy) AS beside
FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'
