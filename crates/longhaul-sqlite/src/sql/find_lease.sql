-- The running job of a lease.
-- in: id, token
-- out: seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, run_at, last_event, log_event, log_entries,
--      log_bytes, priority, unique_key, errors, limit_key, batch, kind, started_at, steps,
--      version, policy (of a job with limit keys), held
-- index: jobs_by_id
SELECT seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, run_at, last_event, log_event, log_entries,
       log_bytes, priority, unique_key, errors, limit_key, batch, kind, started_at, steps,
       version, iif(limit_key IS NULL, NULL, policy) AS policy, held
FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'
