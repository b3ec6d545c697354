-- Which queues have something for claims that wait and are not paused, and when the next scheduled job falls due.
-- in: queues, kinds and newest versions that are waited for
-- out: queue, null for each of these; null, run_at
-- index: the primary key of paused_queues, jobs_available, one step in each for each; jobs_scheduled
SELECT DISTINCT source.queue, NULL::bigint
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS source (queue, kind, version)
WHERE (SELECT queue FROM paused_queues WHERE paused_queues.queue = source.queue) IS NULL AND EXISTS (
  SELECT FROM jobs
  WHERE state = 'available' AND queue = source.queue AND kind = source.kind AND version <= source.version
)
UNION ALL
SELECT NULL, min(run_at) FROM jobs WHERE state = 'scheduled'
