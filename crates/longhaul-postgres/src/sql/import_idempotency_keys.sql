-- Remembers request keys that another store remembers, unless they are known.
-- in: keys, job ids, fingerprints, expires_at, now    out: key, of those that were not    index: the primary key
INSERT INTO idempotency_keys (key, job_id, fingerprint, expires_at)
SELECT key, job_id, fingerprint, expires_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS held (key, job_id, fingerprint, expires_at)
WHERE expires_at > $5
ON CONFLICT (key) DO UPDATE
SET job_id = excluded.job_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
WHERE idempotency_keys.expires_at <= $5
RETURNING key
