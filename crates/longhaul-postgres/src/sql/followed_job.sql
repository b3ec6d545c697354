-- A job that has not ended and has a unique key.
-- in: id, key    out: seq, hold, unique_period    index: jobs_by_id
SELECT seq, hold, unique_period FROM jobs
WHERE id = $1 AND unique_key = $2 AND state NOT IN ('completed', 'failed', 'cancelled')
