-- Remembers request keys, in place of those that have expired.
-- in: keys, job ids, fingerprints, expires_at    index: the primary key
INSERT INTO idempotency_keys (key, job_id, fingerprint, expires_at)
SELECT key, job_id, fingerprint, expires_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS held (key, job_id, fingerprint, expires_at)
ON CONFLICT (key) DO UPDATE
SET job_id = excluded.job_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
