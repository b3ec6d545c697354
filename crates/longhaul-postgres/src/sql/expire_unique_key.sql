-- Lets a completed job hold its key for a period more.
-- in: key, job, expires_at    index: the primary key
UPDATE unique_keys SET expires_at = $3 WHERE key = $1 AND job = $2
