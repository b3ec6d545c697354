-- Keeps a queue's jobs from being claimed.
-- in: queue    index: the primary key
INSERT INTO paused_queues (queue) VALUES ($1) ON CONFLICT DO NOTHING
