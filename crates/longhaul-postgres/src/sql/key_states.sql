-- What is taken of keys, and their limits.
-- in: keys    out: key, used, rate, rate_free_at, until when it is paused, its own limits
-- index: the primary keys of limit_keys, pauses and key_configs
SELECT asked.key, coalesce(taken.used, 0), taken.rate, coalesce(taken.rate_free_at, 0), pauses.until, own.config
FROM unnest($1::text[]) AS asked (key)
LEFT JOIN limit_keys AS taken ON taken.key = asked.key
LEFT JOIN pauses ON pauses.limit_key = asked.key
LEFT JOIN key_configs AS own ON own.key = asked.key
