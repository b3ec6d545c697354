-- The sets of limit keys that a key is in, with what they prefer: `sets` of available jobs, by queue, and `later` of scheduled ones. The
-- statement that is to look at their jobs follows.
-- in: key
-- index: the primary key of key_groups; arrivals has what was not folded in yet; jobs_scheduled_by_keys, one step for each set of
--        several keys, and for each preference of jobs of the key alone
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
