-- As oldest_of_queue.sql, of a limit key in all queues. It stands behind sets_of_key.sql.
-- in: key, limit    out: as target.rs reads it    index: as waiting_of_key.sql
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at
FROM jobs WHERE seq = ANY (ARRAY(
  SELECT seq FROM (
    SELECT seq FROM sets CROSS JOIN LATERAL (
      SELECT seq FROM jobs WHERE state = 'available' AND jobs.queue = sets.queue AND jobs.limit_key = sets.limit_key
      ORDER BY seq LIMIT $2
    ) AS available
    UNION ALL
    SELECT seq FROM later CROSS JOIN LATERAL (
      SELECT seq FROM jobs
      WHERE state = 'scheduled' AND jobs.limit_key > '' AND (strpos(jobs.limit_key, ',') > 0) = (strpos(later.limit_key, ',') > 0)
        AND jobs.limit_key = later.limit_key
      ORDER BY seq LIMIT $2
    ) AS scheduled
  ) AS waiting ORDER BY seq LIMIT $2))
  AND state IN ('available', 'scheduled')
ORDER BY seq FOR UPDATE SKIP LOCKED
