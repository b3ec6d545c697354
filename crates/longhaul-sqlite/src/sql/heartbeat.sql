-- Extends a lease.
-- in: id, token, lease_until    out: cancel_by    index: jobs_by_id
UPDATE jobs SET lease_until = ?3 WHERE id = ?1 AND token = ?2 AND state = 'running' RETURNING cancel_by
