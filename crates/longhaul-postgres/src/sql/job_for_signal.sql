-- The job that a signal is for, held for this transaction.
-- in: id    out: as target.rs reads it; waits_for (of a blocked job), awaited    index: jobs_by_id
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at, waits_for, awaited
FROM jobs WHERE id = $1
FOR UPDATE
