-- One row if a job's parent has not ended.
-- in: seq    out: one row or none    index: the primary key, jobs_by_id
SELECT 1 FROM jobs c JOIN jobs p ON p.id = c.parent
WHERE c.seq = ?1 AND p.state NOT IN ('completed', 'failed', 'cancelled')
