-- Ends a run other than by completion. The token stays where a finish with it has ended the job, so that the finish can
-- be repeated; otherwise nobody holds the job any more.
-- in: seq, state, now, rank, run_at, attempt, interruptions, crashes, errors, last_error, finished_at, last_event, token, cancel_reason,
--     kept_from, waits_for, wakes_at
-- out: true where others depend on the job
-- index: the primary key
UPDATE jobs SET
  state = $2, token = $13, state_at = $3, rank = place($4, limit_key), run_at = $5, attempt = $6, interruptions = $7, crashes = $8,
  errors = $9, last_error = coalesce($10, last_error), finished_at = $11, kept_from = $15, lease_until = NULL,
  cancel_by = NULL, cancel_reason = $14, waits_for = $16, wakes_at = $17, last_event = $12, state_event = $12
WHERE seq = $1
RETURNING awaited IS NOT NULL
