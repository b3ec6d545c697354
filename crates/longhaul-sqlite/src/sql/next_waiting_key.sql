-- The first limit key of which jobs wait, from a text on: of those with one key, and of those with several.
-- in: from    out: key, or null    index: key_groups_by_keys and the primary key, one step in each
SELECT min(key) FROM (
  SELECT * FROM (SELECT limit_key AS key FROM key_groups WHERE several = 0 AND limit_key >= ?1 AND limit_key > '' ORDER BY limit_key LIMIT 1)
  UNION ALL
  SELECT * FROM (SELECT key FROM group_keys WHERE key >= ?1 ORDER BY key LIMIT 1)
)
