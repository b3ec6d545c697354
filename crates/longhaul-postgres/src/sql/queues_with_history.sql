-- Queues with finished jobs, what was set for them, and how many are completed, failed and cancelled.
-- out: queue, config (null: the default), completed, failed, cancelled
SELECT c.queue, q.config,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'completed'), 0)::bigint,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'failed'), 0)::bigint,
  coalesce(sum(c.n) FILTER (WHERE c.state = 'cancelled'), 0)::bigint
FROM (SELECT queue, state, n FROM counts UNION ALL SELECT queue, state, n FROM count_deltas) AS c
LEFT JOIN queues q ON q.name = c.queue
WHERE c.state IN ('completed', 'failed', 'cancelled')
GROUP BY c.queue, q.config
