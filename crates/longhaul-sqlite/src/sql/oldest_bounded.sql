-- The oldest job that is noted as waiting under a bound, and whether it does: a process of an earlier release notes nothing.
-- in: bound    out: job, 1 or 0    index: the primary keys
SELECT b.job, coalesce(j.state IN ('available', 'scheduled'), 0) FROM bounded_jobs b LEFT JOIN jobs j ON j.seq = b.job
WHERE b.bound = ?1 ORDER BY b.job LIMIT 1
