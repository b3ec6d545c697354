-- Notes where groups of a queue stand after a claim has looked at them, and the gates behind which they are.
-- in: queue; for each group its kind, version, limit_key, rank, seq and the key that has closed it
-- index: the primary key
UPDATE limit_groups SET rank = moved.rank, seq = moved.seq, closed_by = moved.closed_by
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
  AS moved (kind, version, limit_key, rank, seq, closed_by)
CROSS JOIN LATERAL (
  SELECT ctid AS place FROM limit_groups
  WHERE queue = $1 AND limit_key = moved.limit_key AND kind = moved.kind AND version = moved.version OFFSET 0
) AS known
WHERE limit_groups.ctid = known.place
