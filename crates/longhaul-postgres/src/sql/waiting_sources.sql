-- The queues that are not paused and have something for waiting claims, the time at which the next scheduled job falls due or wait times
-- out, and the time at which the next gate opens.
-- in: queues, kinds and newest versions that are waited for; now
-- out: queue, null, null for each of these; null, run_at, opens_at
-- index: the primary key of paused_queues, arrivals_of_queue, limit_groups_open, limit_gates_of_queue and jobs_available, one
--        step in each for each, and in the last one for each version; jobs_scheduled; jobs_waking; limit_gates_due
SELECT DISTINCT source.queue, NULL::bigint, NULL::bigint
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS source (queue, kind, version)
WHERE (SELECT queue FROM paused_queues WHERE paused_queues.queue = source.queue) IS NULL AND (
  EXISTS (
    WITH RECURSIVE lane AS (
      (SELECT version, rank FROM jobs
       WHERE state = 'available' AND queue = source.queue AND kind = source.kind AND version <= source.version
       ORDER BY version, rank LIMIT 1)
      UNION ALL
      SELECT next.* FROM lane CROSS JOIN LATERAL (
        SELECT version, rank FROM jobs
        WHERE state = 'available' AND queue = source.queue AND kind = source.kind AND version > lane.version
          AND version <= source.version
        ORDER BY version, rank LIMIT 1
      ) AS next
      WHERE lane.rank >= 576460752303423488
    )
    SELECT FROM lane WHERE rank < 576460752303423488)
  OR (SELECT queue FROM arrivals WHERE arrivals.queue = source.queue LIMIT 1) IS NOT NULL
  OR (SELECT queue FROM limit_groups
      WHERE closed_by IS NULL AND limit_groups.queue = source.queue AND limit_groups.kind = source.kind
        AND limit_groups.version <= source.version
      LIMIT 1) IS NOT NULL
  OR (SELECT queue FROM limit_gates
      WHERE limit_gates.queue = source.queue AND limit_gates.kind = source.kind AND opens_at <= $4
        AND limit_gates.version <= source.version
      LIMIT 1) IS NOT NULL
)
UNION ALL
SELECT NULL, least((SELECT min(run_at) FROM jobs WHERE state = 'scheduled'),
                   (SELECT min(wakes_at) FROM jobs WHERE state = 'blocked' AND wakes_at IS NOT NULL)), (SELECT min(opens_at + 0) FROM limit_gates WHERE opens_at + 0 > $4)
