-- Gives a key to a job, in place of one whose time with it is over.
-- in: key, job    index: the primary key
INSERT INTO unique_keys (key, job) VALUES ($1, $2)
ON CONFLICT (key) DO UPDATE SET job = excluded.job, expires_at = NULL
