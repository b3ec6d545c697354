-- Drops the turns that the queue has caught up with.
-- in: limit    index: the primary keys
DELETE FROM fair_turns WHERE (queue, limit_key) IN (
  SELECT t.queue, t.limit_key FROM fair_queues q JOIN fair_turns t ON t.queue = q.queue WHERE t.turn <= q.turn LIMIT ?1
)
