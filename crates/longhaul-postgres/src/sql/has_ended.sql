-- Whether a finish with this lease has ended its job, which nobody has set going again.
-- in: id, token    out: 1, where it has    index: jobs_by_id
SELECT 1 FROM jobs WHERE id = $1 AND token = $2 AND lease_until IS NULL AND state IN ('completed', 'failed', 'cancelled')
