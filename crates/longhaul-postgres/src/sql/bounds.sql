-- The bounds on waiting jobs that may hold for new ones: of their queues; and where any limit key has one, the limits of their
-- keys and of all prefixes.
-- in: queues, keys    out: true for a queue, name, config
-- index: queues_bounded, once for each queue; key_configs_bounded; the primary key of key_configs, once for each key;
--        key_configs_of_prefixes
SELECT true, bounded.name, bounded.config
FROM unnest($1::text[]) AS asked (queue)
CROSS JOIN LATERAL (
  SELECT name, config FROM queues WHERE name = asked.queue AND config LIKE '%"max_waiting":%' OFFSET 0
) AS bounded
UNION ALL
SELECT false, limited.key, limited.config
FROM unnest($2::text[]) AS asked (key)
CROSS JOIN LATERAL (SELECT key, config FROM key_configs WHERE key = asked.key OFFSET 0) AS limited
WHERE (SELECT key FROM key_configs WHERE config LIKE '%"max_waiting":%' LIMIT 1) IS NOT NULL
UNION ALL
SELECT false, key, config FROM key_configs
WHERE right(key, 1) = '*' AND cardinality($2::text[]) > 0
  AND (SELECT key FROM key_configs WHERE config LIKE '%"max_waiting":%' LIMIT 1) IS NOT NULL
