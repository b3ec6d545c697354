-- The first limit key of which jobs wait, from a text on and behind another.
-- in: from, after (null: none)    out: key    index: the primary key, one step
SELECT key FROM group_keys WHERE key >= ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT 1
