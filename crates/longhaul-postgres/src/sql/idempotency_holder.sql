-- The job that a request key stands for, and the digest of the request.
-- in: key, now    out: job id, fingerprint    index: the primary key
SELECT job_id, fingerprint FROM idempotency_keys WHERE key = $1 AND expires_at > $2
