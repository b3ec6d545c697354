-- The limit keys and prefixes that have limits of their own, are paused, or of which runs take slots, by name.
-- in: from, after (null: none), now, limit    out: key    index: the primary keys
SELECT key FROM key_configs WHERE key >= ?1 AND (?2 IS NULL OR key > ?2)
UNION SELECT limit_key FROM pauses WHERE limit_key >= ?1 AND (?2 IS NULL OR limit_key > ?2) AND until > ?3
UNION SELECT key FROM limit_keys WHERE key >= ?1 AND (?2 IS NULL OR key > ?2) AND used > 0
ORDER BY 1 LIMIT ?4
