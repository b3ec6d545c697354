-- Queues with finished jobs, what was set for them, and how many are completed, failed and cancelled.
-- out: queue, config (null: the default), completed, failed, cancelled
SELECT c.queue, q.config,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'completed'), 0) AS completed,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'failed'), 0) AS failed,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'cancelled'), 0) AS cancelled
FROM counts c LEFT JOIN queues q ON q.name = c.queue
WHERE c.state IN ('completed', 'failed', 'cancelled') AND c.n > 0
GROUP BY c.queue
