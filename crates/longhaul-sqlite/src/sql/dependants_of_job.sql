-- The jobs that were enqueued to depend on one, in the order in which they were.
-- in: id, limit    out: id    index: jobs_by_id, the primary keys
SELECT d.id FROM jobs j JOIN dependencies e ON e.job = j.seq JOIN jobs d ON d.seq = e.dependant
WHERE j.id = ?1 ORDER BY e.dependant LIMIT ?2
