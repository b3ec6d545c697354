-- The used limits of keys, and their limits; for the key of a queue, which is its name after a `=`, the queue's configuration.
-- in: keys    out: key, used, rate, rate_free_at, the end of its pause, its own limits
-- index: the primary keys of limit_keys, pauses, key_configs and queues
SELECT asked.key, coalesce(taken.used, 0), taken.rate, coalesce(taken.rate_free_at, 0), pauses.until, coalesce(own.config, of_queue.config)
FROM unnest($1::text[]) AS asked (key)
-- One look-up for each, whatever the server has counted: see ARCHITECTURE.md on small tables.
LEFT JOIN LATERAL (SELECT used, rate, rate_free_at FROM limit_keys WHERE key = asked.key OFFSET 0) AS taken ON true
LEFT JOIN LATERAL (SELECT until FROM pauses WHERE limit_key = asked.key OFFSET 0) AS pauses ON true
LEFT JOIN LATERAL (SELECT config FROM key_configs WHERE key = asked.key OFFSET 0) AS own ON true
LEFT JOIN LATERAL (
  SELECT config FROM queues WHERE left(asked.key, 1) = '=' AND name = substr(asked.key, 2) OFFSET 0
) AS of_queue ON true
