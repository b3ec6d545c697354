-- Waiting jobs whose time is over, those first whose time was over first. What another process holds is left to it.
-- in: now, limit    out: as target.rs reads it; expires_at, deadline    index: jobs_ending
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at, expires_at, deadline
FROM jobs
WHERE finished_at IS NULL AND coalesce(expires_at, deadline) IS NOT NULL AND ends_at(started_at, expires_at, deadline) <= $1
  AND state <> 'running'
ORDER BY ends_at(started_at, expires_at, deadline) LIMIT $2 FOR UPDATE SKIP LOCKED
