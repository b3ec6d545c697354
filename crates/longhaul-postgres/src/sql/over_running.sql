-- Running jobs whose deadline has passed and which were not asked to stop as soon as they are to. What another process holds is
-- left to it.
-- in: now, limit, when they are fenced off    out: as target.rs reads it    index: jobs_ending
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at
FROM jobs
WHERE finished_at IS NULL AND coalesce(expires_at, deadline) IS NOT NULL AND ends_at(started_at, expires_at, deadline) <= $1
  AND state = 'running' AND (cancel_by IS NULL OR cancel_by > $3)
ORDER BY ends_at(started_at, expires_at, deadline) LIMIT $2 FOR UPDATE SKIP LOCKED
