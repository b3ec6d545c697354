-- Sets a queue's configuration.
-- in: name, config
INSERT INTO queues (name, config) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET config = excluded.config
