-- The kinds and versions that wait in each queue, each with how many jobs it has, counted up to a limit, and when the one
-- fell due that is claimed first. A step for each of them, however many jobs it has: the order lets no plan read others.
-- in: the most of them, the most jobs of each    out: queue, kind, version, n, run_at    index: jobs_available
WITH RECURSIVE lane AS (
  (SELECT queue, kind, version, 1 AS place FROM jobs
   WHERE state = 'available' ORDER BY queue, kind, version LIMIT 1)
  UNION ALL
  SELECT next.queue, next.kind, next.version, lane.place + 1
  FROM lane CROSS JOIN LATERAL (
    SELECT queue, kind, version FROM jobs
    WHERE state = 'available' AND (queue, kind, version) > (lane.queue, lane.kind, lane.version)
    ORDER BY queue, kind, version LIMIT 1
  ) AS next
  WHERE lane.place < $1::bigint
)
SELECT lane.queue, lane.kind, lane.version, waiting.n, first.run_at
FROM lane
CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM (
    SELECT FROM jobs
    WHERE state = 'available' AND queue = lane.queue AND kind = lane.kind AND version = lane.version
    ORDER BY rank, seq LIMIT $2
  ) AS counted
) AS waiting
CROSS JOIN LATERAL (
  SELECT run_at FROM (
    (SELECT rank, seq, run_at FROM jobs
     WHERE state = 'available' AND queue = lane.queue AND kind = lane.kind AND version = lane.version
       AND rank < 576460752303423488
     ORDER BY rank, seq LIMIT 1)
    UNION ALL
    (SELECT rank - place(0, ''), seq, run_at FROM jobs
     WHERE state = 'available' AND queue = lane.queue AND kind = lane.kind AND version = lane.version
       AND rank >= 576460752303423488
     ORDER BY rank, seq LIMIT 1)
  ) AS firsts
  ORDER BY rank, seq LIMIT 1
) AS first
ORDER BY lane.place
