-- Notes that the last job without keys has left a fair queue.
-- in: queue, kind    index: the primary key of fair_queues; jobs_available, one step for each kind and version
INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
SELECT queue, '', $2, 0, 0, 0, 'emptied' FROM fair_queues
-- Of the queue's row, and so not looked for where there is none.
WHERE queue = $1 AND NOT has_plain_jobs(fair_queues.queue)
