-- The used limits of a key.
-- in: key    out: used, rate_free_at, rate, opens_at    index: the primary key
SELECT used, rate_free_at, rate, opens_at FROM limit_keys WHERE key = ?1
