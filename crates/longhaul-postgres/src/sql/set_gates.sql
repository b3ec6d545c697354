-- Notes that groups of a queue were closed: their gates open no later than is said here.
-- in: queue; for each gate its key, kind, version, opens_at, slots and rate of its cost
-- index: the primary key
INSERT INTO limit_gates (key, queue, kind, version, opens_at, slots, rate)
SELECT key, $1, kind, version, opens_at, slots, rate
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
  AS gate (key, kind, version, opens_at, slots, rate)
ON CONFLICT (key, queue, kind, version) DO UPDATE SET
  opens_at = least(limit_gates.opens_at, excluded.opens_at),
  slots = least(limit_gates.slots, excluded.slots), rate = least(limit_gates.rate, excluded.rate)
