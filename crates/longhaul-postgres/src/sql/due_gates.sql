-- The gates of a queue whose groups are to be looked at again, with what is known of their keys.
-- in: queue, kinds, newest version of each, now, the most of them
-- out: key, used, rate, rate_free_at, until when it is paused, its own limits; kind, version, slots, rate
-- index: limit_gates_of_queue, once for each kind; the primary keys of limit_keys, pauses and key_configs
SELECT gate.key, coalesce(taken.used, 0), taken.rate, coalesce(taken.rate_free_at, 0), pauses.until, own.config,
  gate.kind, gate.version, gate.slots, gate.rate
FROM unnest($2::text[], $3::bigint[]) AS source (kind, newest)
CROSS JOIN LATERAL (
  SELECT * FROM limit_gates
  WHERE queue = $1 AND limit_gates.kind = source.kind AND opens_at <= $4 AND version <= newest
  ORDER BY opens_at LIMIT $5
) AS gate
-- One look-up for each, whatever the server has counted: see ARCHITECTURE.md on small tables.
LEFT JOIN LATERAL (SELECT used, rate, rate_free_at FROM limit_keys WHERE key = gate.key OFFSET 0) AS taken ON true
LEFT JOIN LATERAL (SELECT until FROM pauses WHERE limit_key = gate.key OFFSET 0) AS pauses ON true
LEFT JOIN LATERAL (SELECT config FROM key_configs WHERE key = gate.key OFFSET 0) AS own ON true
ORDER BY gate.opens_at, gate.key, gate.kind, gate.version
