-- Notes what is taken of a limit key of which nothing was.
-- in: key, used, rate_free_at, rate, opens_at
INSERT INTO limit_keys (key, used, rate_free_at, rate, opens_at) VALUES (?1, ?2, ?3, ?4, ?5)
