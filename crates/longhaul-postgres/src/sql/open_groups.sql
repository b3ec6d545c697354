-- Opens the first groups behind gates, each from a place on.
-- in: for each gate its key, kind, version, turn, turn_key, rank and seq of the place, how many; queue
-- out: number of the gate from 1; turn, turn_key, rank, seq of each group    index: limit_groups_closed
WITH firsts AS MATERIALIZED (
  SELECT gate.n, groups.place
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
    WITH ORDINALITY AS gate (key, kind, version, turn, turn_key, rank, seq, most, n)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM limit_groups
    WHERE closed_by = gate.key AND queue = $9 AND kind = gate.kind AND version = gate.version
      AND (turn, turn_key, rank, seq) > (gate.turn, gate.turn_key, gate.rank, gate.seq)
    ORDER BY turn, turn_key, rank, seq LIMIT gate.most
  ) AS groups
)
UPDATE limit_groups SET closed_by = NULL FROM firsts
WHERE limit_groups.ctid = firsts.place
RETURNING firsts.n, turn, turn_key, rank, seq
