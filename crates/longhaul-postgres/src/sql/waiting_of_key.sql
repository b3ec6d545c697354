-- How many jobs of a limit key are available or scheduled, in all queues, counted up to a limit.
-- in: key, limit    out: n
-- index: the primary key of key_groups; jobs_available_by_keys and jobs_scheduled_by_keys, once for each set of keys; arrivals has
--        what was not folded in yet; the last index, one step for each set of several keys, and for each preference of jobs of the key alone
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
SELECT count(*) FROM (
  SELECT FROM sets CROSS JOIN LATERAL (
    SELECT FROM jobs WHERE state = 'available' AND jobs.queue = sets.queue AND jobs.limit_key = sets.limit_key LIMIT $2
  ) AS available
  UNION ALL
  SELECT FROM later CROSS JOIN LATERAL (
    SELECT FROM jobs
    WHERE state = 'scheduled' AND jobs.limit_key > '' AND (strpos(jobs.limit_key, ',') > 0) = (strpos(later.limit_key, ',') > 0)
      AND jobs.limit_key = later.limit_key
    LIMIT $2
  ) AS scheduled
  LIMIT $2
) AS counted
