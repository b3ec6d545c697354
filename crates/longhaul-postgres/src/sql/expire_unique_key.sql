-- Lets a job hold its key until a time.
-- in: key, job, expires_at    index: the primary key
UPDATE unique_keys SET expires_at = $3 WHERE key = $1 AND job = $2
