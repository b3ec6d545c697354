-- The limit keys and prefixes that have limits of their own, are paused, or of which runs take slots, by name.
-- in: from, now, limit    out: key    index: the primary keys
SELECT key FROM key_configs WHERE key >= ?1
UNION SELECT limit_key FROM pauses WHERE limit_key >= ?1 AND until > ?2
UNION SELECT key FROM limit_keys WHERE key >= ?1 AND used > 0 AND key NOT LIKE '=%'
ORDER BY 1 LIMIT ?3
