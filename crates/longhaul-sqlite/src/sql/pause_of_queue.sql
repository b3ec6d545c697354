-- Tells whether no job of a queue is given to claims.
-- in: queue    out: 1, where it is paused    index: the primary key
SELECT 1 FROM paused_queues WHERE queue = ?1
