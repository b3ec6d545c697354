-- Sets the limits of a key, or of a prefix with its `*`.
-- in: key, config    index: the primary key
INSERT INTO key_configs (key, config) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET config = excluded.config
