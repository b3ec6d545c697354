-- The groups of a limit key.
-- in: key    out: limit_key, queue, kind, version    index: key_groups_by_keys, the primary keys
SELECT limit_key, queue, kind, version FROM key_groups WHERE several = 0 AND limit_key = ?1
UNION ALL
SELECT g.limit_key, g.queue, g.kind, g.version FROM group_keys k JOIN key_groups g ON g.id = k.key_group WHERE k.key = ?1
