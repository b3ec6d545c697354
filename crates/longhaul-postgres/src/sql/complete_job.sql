-- Completes a run, which its steps' outputs were kept for.
-- in: seq, now, output, kept_from    out: true where others depend on the job    index: the primary keys
WITH completed AS (
  UPDATE jobs SET
    state = 'completed', state_at = $2, finished_at = $2, kept_from = $4, output = $3,
    lease_until = NULL, cancel_by = NULL, cancel_reason = NULL, last_event = last_event + 2, state_event = last_event + 2
  WHERE seq = $1
  RETURNING seq, steps, awaited
), forgotten AS (
  UPDATE steps SET output = '' WHERE job = (SELECT seq FROM completed WHERE steps > 0)
)
SELECT awaited IS NOT NULL FROM completed
