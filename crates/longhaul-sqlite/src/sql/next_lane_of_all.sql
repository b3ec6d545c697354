-- The queue, kind and version that follow another among the available jobs, with when the job fell due that is claimed first.
-- in: queue, kind, version    out: queue, kind, version, run_at    index: jobs_available, one step
SELECT queue, kind, version, run_at FROM jobs
WHERE state = 'available' AND (queue, kind, version) > (?1, ?2, ?3)
ORDER BY queue, kind, version, rank, seq LIMIT 1
