-- The running job of a lease, held for this transaction.
-- in: id, token    out: seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, last_event, log_event,
--                       priority, run_at, unique_key, errors, limit_key, batch, unique_period, kind, started_at, cancel_reason, hold, limited
-- index: jobs_by_id (see finish_and_claim.sql on `lease_until`)
SELECT seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, last_event, log_event, priority, run_at,
       unique_key, errors, limit_key, batch, unique_period, kind, started_at, cancel_reason, hold, limited
FROM jobs WHERE id = $1 AND token = $2 AND lease_until IS NOT NULL
FOR UPDATE
