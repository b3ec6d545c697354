-- The queue, kind and version that follow another among the available jobs.
-- in: queue, kind, version    out: queue, kind, version    index: jobs_available, one step
SELECT queue, kind, version FROM jobs
WHERE state = 'available' AND (queue, kind, version) > (?1, ?2, ?3)
ORDER BY queue, kind, version LIMIT 1
