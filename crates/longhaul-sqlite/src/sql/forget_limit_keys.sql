-- Drops the limit keys of which nothing is taken any more.
-- in: now in microseconds, limit    index: limit_keys_at_rest
DELETE FROM limit_keys WHERE key IN (
  SELECT key FROM limit_keys WHERE used = 0 AND opens_at IS NULL AND rate_free_at <= ?1 ORDER BY rate_free_at LIMIT ?2
)
