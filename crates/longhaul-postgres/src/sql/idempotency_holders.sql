-- The jobs that request keys stand for, and the digests of the requests.
-- in: keys, now    out: key, job id, fingerprint    index: the primary key
SELECT key, job_id, fingerprint FROM idempotency_keys WHERE key = ANY ($1::text[]) AND expires_at > $2
