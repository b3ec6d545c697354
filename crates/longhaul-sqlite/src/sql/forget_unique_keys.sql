-- Drops rows whose time is over.
-- in: now, limit    index: unique_keys_expiring
DELETE FROM unique_keys WHERE key IN (SELECT key FROM unique_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
