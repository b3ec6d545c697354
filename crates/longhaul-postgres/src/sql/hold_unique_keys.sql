-- Gives each key to a job, in place of one whose time with it is over.
-- in: keys, jobs    index: the primary key
INSERT INTO unique_keys (key, job) SELECT key, job FROM unnest($1::text[], $2::bigint[]) AS held (key, job)
ON CONFLICT (key) DO UPDATE SET job = excluded.job, expires_at = NULL
