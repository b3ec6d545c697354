-- The kind and version that follow another among a queue's available jobs.
-- One more is compared with >=: with >, SQLite passes over all that is equal, one by one.
-- in: queue, kind, version    out: kind, version    index: jobs_available, one step
SELECT kind, version FROM jobs
WHERE state = 'available' AND queue = ?1 AND (kind, version) >= (?2, ?3 + 1)
ORDER BY kind, version LIMIT 1
