-- Notes what is taken of a limit key.
-- in: key, used, rate_free_at, rate, opens_at    index: the primary key
INSERT INTO limit_keys (key, used, rate_free_at, rate, opens_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (key) DO UPDATE
SET used = excluded.used, rate_free_at = excluded.rate_free_at, rate = excluded.rate, opens_at = excluded.opens_at
