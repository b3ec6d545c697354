-- Gives a key, where it is a job's, to the one that this job follows.
-- in: key, job, the job that it follows, expires_at (null: with the job)    index: the primary key
UPDATE unique_keys SET job = $3, expires_at = $4 WHERE key = $1 AND job = $2
