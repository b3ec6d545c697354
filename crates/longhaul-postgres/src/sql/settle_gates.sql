-- Notes when gates of a queue open that a claim has looked behind; those behind which no group is left go.
-- in: queue; for each gate its key, kind, version, opens_at, slots (null: it goes) and rate of its cost
-- index: the primary key
WITH gate AS MATERIALIZED (
  SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS gate (key, kind, version, opens_at, slots, rate)
), gone AS (
  DELETE FROM limit_gates USING gate
  WHERE limit_gates.queue = $1 AND limit_gates.key = gate.key AND limit_gates.kind = gate.kind
    AND limit_gates.version = gate.version AND gate.slots IS NULL
)
UPDATE limit_gates SET opens_at = gate.opens_at, slots = gate.slots, rate = gate.rate FROM gate
WHERE limit_gates.queue = $1 AND limit_gates.key = gate.key AND limit_gates.kind = gate.kind
  AND limit_gates.version = gate.version AND gate.slots IS NOT NULL
