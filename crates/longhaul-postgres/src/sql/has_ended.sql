-- One row if a finish with this lease has ended its job, and the job was not run again.
-- in: id, token    out: 1, if it has    index: jobs_by_id
SELECT 1 FROM jobs WHERE id = $1 AND token = $2 AND lease_until IS NULL AND state IN ('completed', 'failed', 'cancelled')
