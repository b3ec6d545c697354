-- Gives a queue's jobs to claims again.
-- in: queue    out: 1, where it was paused    index: the primary key
DELETE FROM paused_queues WHERE queue = $1 RETURNING 1
