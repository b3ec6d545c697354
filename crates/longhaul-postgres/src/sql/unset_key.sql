-- Takes the limits of a key away, or of a prefix with its `*`.
-- in: key    index: the primary key
DELETE FROM key_configs WHERE key = $1
