-- Notes what is taken of a limit key.
-- in: key, used, rate_free_at, rate, opens_at    index: the primary key
UPDATE limit_keys SET used = ?2, rate_free_at = ?3, rate = ?4, opens_at = ?5 WHERE key = ?1
