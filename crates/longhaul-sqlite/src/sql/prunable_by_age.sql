-- Queues and states of which a finished job may be older than its retention.
-- in: now, limit    out: queue, state, config (null: the default)    index: counts_due
SELECT c.queue, c.state, q.config FROM counts c INDEXED BY counts_due LEFT JOIN queues q ON q.name = c.queue
WHERE c.n > 0 AND (c.state = 'completed' OR c.state = 'failed' OR c.state = 'cancelled') AND c.prune_at <= ?1
ORDER BY c.prune_at LIMIT ?2
