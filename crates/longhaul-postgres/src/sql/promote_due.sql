-- Makes due jobs available, and blocked ones whose wait is over, the oldest of each first: these take their turn from when it was over,
-- whoever notices that and when.
-- in: now, limit of each    out: id, queue, kind, attempt, state    index: jobs_scheduled, jobs_waking
WITH due AS (
  SELECT seq FROM jobs WHERE state = 'scheduled' AND run_at <= $1 ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED
), over AS (
  SELECT seq FROM jobs WHERE state = 'blocked' AND wakes_at <= $1 ORDER BY wakes_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET
  state = 'available', state_at = $1, waits_for = NULL, wakes_at = NULL, last_event = last_event + 1, state_event = last_event + 1
FROM (SELECT seq, 'scheduled' AS state FROM due UNION ALL SELECT seq, 'blocked' FROM over) AS next
WHERE jobs.seq = next.seq
RETURNING jobs.id, queue, kind, attempt, next.state
