-- Keys of which there may be something to tell, by name: configured, taken of, paused or waited behind.
-- in: beginning, name that comes before (null: none), now, limit    out: key
-- index: the primary keys of key_configs, limit_keys, pauses and key_groups, one step for each key; slot_changes and
--        arrivals have what was not folded in yet
WITH RECURSIVE waited (key) AS (
  (SELECT key FROM key_groups WHERE starts_with(key, $1) AND key >= $1 AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT 1)
  UNION ALL
  SELECT next.key FROM waited CROSS JOIN LATERAL (
    SELECT key FROM key_groups WHERE key > waited.key AND starts_with(key, $1) ORDER BY key LIMIT 1
  ) AS next
), names AS (
  (SELECT key FROM key_configs WHERE starts_with(key, $1) AND key >= $1 AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT $4)
  UNION
  (SELECT key FROM limit_keys
   WHERE used > 0 AND starts_with(key, $1) AND key >= $1 AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT $4)
  UNION
  (SELECT limit_key FROM pauses
   WHERE until > $3 AND starts_with(limit_key, $1) AND limit_key >= $1 AND ($2::text IS NULL OR limit_key > $2)
   ORDER BY limit_key LIMIT $4)
  UNION
  (SELECT key FROM waited LIMIT $4)
  UNION
  SELECT key FROM (
    SELECT limit_key FROM slot_changes WHERE change <> 0 UNION SELECT limit_key FROM arrivals WHERE limit_key <> ''
  ) AS news CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
  WHERE starts_with(key, $1) AND ($2::text IS NULL OR key > $2)
)
SELECT key FROM names ORDER BY key LIMIT $4
