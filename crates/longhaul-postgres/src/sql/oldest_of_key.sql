-- The same of a limit key, in all queues.
-- in: key, limit    out: as target.rs reads it    index: as waiting_of_key.sql
WITH sets AS MATERIALIZED (
  SELECT queue, limit_key FROM key_groups WHERE key = $1
  UNION
  SELECT queue, limit_key FROM arrivals WHERE $1 = ANY (keys_of(limit_key))
), later AS MATERIALIZED (
  SELECT $1 AS limit_key
  UNION ALL
  SELECT limit_key FROM (
    WITH RECURSIVE preferring AS (
      (SELECT limit_key FROM jobs
       WHERE state = 'scheduled' AND limit_key > '' AND NOT strpos(limit_key, ',') > 0
         AND limit_key >= $1 || ';' AND limit_key < $1 || '<'
       ORDER BY strpos(limit_key, ',') > 0, limit_key LIMIT 1)
      UNION ALL
      SELECT (SELECT j.limit_key FROM jobs j
              WHERE j.state = 'scheduled' AND j.limit_key > '' AND NOT strpos(j.limit_key, ',') > 0
                AND j.limit_key > preferring.limit_key AND j.limit_key < $1 || '<'
              ORDER BY strpos(j.limit_key, ',') > 0, j.limit_key LIMIT 1)
      FROM preferring WHERE preferring.limit_key IS NOT NULL
    )
    SELECT limit_key FROM preferring WHERE limit_key IS NOT NULL
  ) AS alone
  UNION ALL
  SELECT limit_key FROM (
    WITH RECURSIVE many AS (
      (SELECT limit_key FROM jobs
       WHERE state = 'scheduled' AND limit_key > '' AND strpos(limit_key, ',') > 0
       ORDER BY strpos(limit_key, ',') > 0, limit_key LIMIT 1)
      UNION ALL
      SELECT (SELECT j.limit_key FROM jobs j
              WHERE j.state = 'scheduled' AND j.limit_key > '' AND strpos(j.limit_key, ',') > 0
                AND j.limit_key > many.limit_key
              ORDER BY strpos(j.limit_key, ',') > 0, j.limit_key LIMIT 1)
      FROM many WHERE many.limit_key IS NOT NULL
    )
    SELECT limit_key FROM many
  ) AS joined WHERE $1 = ANY (keys_of(limit_key))
)
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
