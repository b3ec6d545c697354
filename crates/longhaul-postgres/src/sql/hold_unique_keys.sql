-- Gives each key to a job, in place of one whose time with it is over.
-- in: keys, jobs, expires_at of each (null: with the job)    index: the primary key
INSERT INTO unique_keys (key, job, expires_at)
SELECT key, job, expires_at FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS held (key, job, expires_at)
ON CONFLICT (key) DO UPDATE SET job = excluded.job, expires_at = excluded.expires_at
