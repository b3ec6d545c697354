-- Remembers a request key, in place of one that has expired.
-- in: key, job id, fingerprint, expires_at
INSERT OR REPLACE INTO idempotency_keys (key, job_id, fingerprint, expires_at) VALUES (?1, ?2, ?3, ?4)
