-- The queue, kind and version that follow another among the available jobs.
-- One more is compared with >=: with >, SQLite passes over all that is equal, one by one.
-- in: queue, kind, version    out: queue, kind, version    index: jobs_available, one step
SELECT queue, kind, version FROM jobs
WHERE state = 'available' AND (queue, kind, version) >= (?1, ?2, ?3 + 1)
ORDER BY queue, kind, version LIMIT 1
