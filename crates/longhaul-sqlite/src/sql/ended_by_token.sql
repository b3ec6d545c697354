-- Finds a job that a finish with this very token has ended.
-- in: id, token    out: 1    index: jobs_by_id
SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND state IN ('completed', 'failed', 'cancelled')
