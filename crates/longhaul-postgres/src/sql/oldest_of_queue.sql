-- The waiting jobs of a queue that were enqueued first, held for this transaction. What another process holds is just being taken.
-- in: queue, limit    out: as target.rs reads it    index: jobs_available, all of the queue; jobs_scheduled_by_queue
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at
FROM jobs WHERE seq = ANY (ARRAY(
  SELECT seq FROM (
    (SELECT seq FROM jobs WHERE state = 'available' AND queue = $1 ORDER BY seq LIMIT $2)
    UNION ALL
    (SELECT seq FROM jobs WHERE state = 'scheduled' AND queue > '' AND queue = $1 ORDER BY seq LIMIT $2)
  ) AS waiting ORDER BY seq LIMIT $2))
  AND state IN ('available', 'scheduled')
ORDER BY seq FOR UPDATE SKIP LOCKED
