-- Takes a key from a job, where it is the job's.
-- in: key, job    index: the primary key
DELETE FROM unique_keys WHERE key = $1 AND job = $2
