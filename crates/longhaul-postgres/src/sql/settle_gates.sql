-- Notes when gates of a queue open that a claim has looked behind; those behind which no group is left go.
-- in: queue; for each gate its key, kind, version, opens_at, slots (null: it goes) and rate of its cost
-- index: the primary key
WITH gate AS MATERIALIZED (
  SELECT gate.opens_at, gate.slots, gate.rate, known.place
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS gate (key, kind, version, opens_at, slots, rate)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM limit_gates
    WHERE key = gate.key AND queue = $1 AND kind = gate.kind AND version = gate.version OFFSET 0
  ) AS known
), gone AS (
  DELETE FROM limit_gates USING gate WHERE limit_gates.ctid = gate.place AND gate.slots IS NULL
)
UPDATE limit_gates SET opens_at = gate.opens_at, slots = gate.slots, rate = gate.rate FROM gate
WHERE limit_gates.ctid = gate.place AND gate.slots IS NOT NULL
