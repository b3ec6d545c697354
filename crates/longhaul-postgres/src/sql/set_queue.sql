-- Sets a queue's configuration, by which its history is looked at anew.
-- in: name, config    index: the primary keys
WITH due AS (
  UPDATE counts SET prune_at = 0 WHERE queue = $1
)
INSERT INTO queues (name, config) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET config = excluded.config
