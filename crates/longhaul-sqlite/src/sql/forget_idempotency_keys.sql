-- Drops rows whose time is over.
-- in: now, limit    index: idempotency_keys_expiring
DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
