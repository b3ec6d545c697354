-- The groups of a limit key.
-- in: key    out: limit_key, queue, kind, version    index: the primary keys
SELECT g.limit_key, g.queue, g.kind, g.version FROM group_keys k JOIN key_groups g ON g.id = k.key_group WHERE k.key = ?1
