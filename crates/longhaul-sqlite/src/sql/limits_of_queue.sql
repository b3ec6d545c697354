-- The configuration of a queue that has slots or a rate.
-- in: queue    out: config    index: queues_limited
SELECT config FROM queues INDEXED BY queues_limited WHERE limited = 1 AND name = ?1
