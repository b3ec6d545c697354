-- Queues and states with finished jobs that may be due for pruning; those that another sweep looks at are passed over.
-- in: now, limit    out: queue, state, how many, the queue's configuration (null: the default)    index: counts_prunable
SELECT c.queue, c.state, c.n, q.config
FROM counts c LEFT JOIN queues q ON q.name = c.queue
WHERE c.state IN ('completed', 'failed', 'cancelled') AND c.prune_at <= $1
ORDER BY c.prune_at LIMIT $2
FOR UPDATE OF c SKIP LOCKED
