-- The limit key that follows another, and begins as a prefix does, among those that keep groups back.
-- in: after, prefix, the first text behind the prefix (null: none)    out: key    index: key_groups_closed, one step
SELECT closed_by FROM key_groups
WHERE closed_by > ?1 AND closed_by >= ?2 AND (?3 IS NULL OR closed_by < ?3)
ORDER BY closed_by LIMIT 1
