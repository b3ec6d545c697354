-- Notes what is taken of the rates of keys.
-- in: keys, rates, rate_free_at    index: the primary key
INSERT INTO limit_keys (key, rate, rate_free_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (key) DO UPDATE SET rate = excluded.rate, rate_free_at = excluded.rate_free_at
