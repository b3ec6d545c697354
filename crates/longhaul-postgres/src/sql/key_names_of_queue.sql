-- Keys of which jobs may wait in a queue, by name.
-- in: beginning, name that comes before (null: none), queue, limit    out: key
-- index: key_groups_of_queue, one step for each key; arrivals_of_queue
WITH RECURSIVE waited (key) AS (
  (SELECT key FROM key_groups
   WHERE queue = $3 AND starts_with(key, $1) AND key >= $1 AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT 1)
  UNION ALL
  SELECT next.key FROM waited CROSS JOIN LATERAL (
    SELECT key FROM key_groups WHERE queue = $3 AND key > waited.key AND starts_with(key, $1) ORDER BY key LIMIT 1
  ) AS next
), names AS (
  (SELECT key FROM waited LIMIT $4)
  UNION
  SELECT key FROM arrivals CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
  WHERE queue = $3 AND limit_key <> '' AND starts_with(key, $1) AND ($2::text IS NULL OR key > $2)
)
SELECT key FROM names ORDER BY key LIMIT $4
