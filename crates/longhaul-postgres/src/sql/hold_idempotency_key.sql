-- Remembers a request key, in place of one that has expired.
-- in: key, job id, fingerprint, expires_at    index: the primary key
INSERT INTO idempotency_keys (key, job_id, fingerprint, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO UPDATE
SET job_id = excluded.job_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
