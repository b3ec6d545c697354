-- The present state of limit keys.
-- in: keys, the most waiting jobs that are counted, queue in which they must wait (null: any)
-- out: key, used, rate, rate_free_at, until when it is paused, its own limits, waiting jobs, true where some wait in the queue
-- index: the primary keys of limit_keys, pauses, key_configs and key_groups; jobs_available_by_keys, once for each set of
--        keys; slot_changes and arrivals have what was not folded in yet
WITH asked AS MATERIALIZED (
  -- By a query of its own, which hides how many keys there are: each number would have this planned anew, which takes longer than it.
  SELECT DISTINCT key FROM unnest((SELECT $1::text[])) AS key
), changes AS MATERIALIZED (
  SELECT key, sum(change)::bigint AS change
  FROM slot_changes CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
  WHERE change <> 0 GROUP BY key
), fresh AS MATERIALIZED (
  SELECT DISTINCT asked.key, queue, limit_key
  FROM arrivals CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS name JOIN asked ON asked.key = name
  WHERE NOT EXISTS (
    SELECT FROM key_groups
    WHERE key_groups.key = name AND key_groups.queue = arrivals.queue AND key_groups.limit_key = arrivals.limit_key)
), come AS MATERIALIZED (
  SELECT fresh.key, sum(waiting.n)::bigint AS n, bool_or(waiting.n > 0 AND fresh.queue = $3) AS in_queue
  FROM fresh CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
      SELECT FROM jobs WHERE state = 'available' AND jobs.queue = fresh.queue AND jobs.limit_key = fresh.limit_key LIMIT $2
    ) AS counted
  ) AS waiting
  GROUP BY fresh.key
)
SELECT asked.key, (coalesce(taken.used, 0) + coalesce(changes.change, 0))::bigint, taken.rate, coalesce(taken.rate_free_at, 0),
  pauses.until, own.config, least(known.n + coalesce(come.n, 0), $2)::bigint,
  coalesce(come.in_queue, false) OR $3::text IS NULL OR EXISTS (
    SELECT FROM key_groups
    WHERE key_groups.key = asked.key AND key_groups.queue = $3 AND EXISTS (
      SELECT FROM jobs WHERE state = 'available' AND jobs.queue = $3 AND jobs.limit_key = key_groups.limit_key))
FROM asked
CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM (
    SELECT FROM key_groups
    CROSS JOIN LATERAL (
      SELECT FROM jobs
      WHERE state = 'available' AND jobs.queue = key_groups.queue AND jobs.limit_key = key_groups.limit_key LIMIT $2
    ) AS jobs
    WHERE key_groups.key = asked.key LIMIT $2
  ) AS counted
) AS known
LEFT JOIN limit_keys AS taken ON taken.key = asked.key
LEFT JOIN changes ON changes.key = asked.key
LEFT JOIN come ON come.key = asked.key
LEFT JOIN pauses ON pauses.limit_key = asked.key
LEFT JOIN key_configs AS own ON own.key = asked.key
ORDER BY asked.key
