-- True where a queue is fair.
-- in: queue    index: the primary key
SELECT EXISTS (SELECT FROM fair_queues WHERE queue = $1)
