-- A limit key: what is taken of it, its pause, the limits of its own, and whether it keeps groups back.
-- in: key    out: used, rate_free_at, rate, opens_at, until, config, whether it has a row, whether it keeps groups back
-- index: the primary keys, key_groups_closed
SELECT k.used, k.rate_free_at, k.rate, k.opens_at, p.until, c.config, k.key IS NOT NULL,
  EXISTS (SELECT 1 FROM key_groups WHERE closed_by = ?1)
FROM (SELECT ?1 AS key) n
LEFT JOIN limit_keys k ON k.key = n.key
LEFT JOIN pauses p ON p.limit_key = n.key
LEFT JOIN key_configs c ON c.key = n.key
