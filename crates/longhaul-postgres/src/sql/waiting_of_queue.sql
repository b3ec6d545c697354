-- How many jobs of a queue are available or scheduled, but for what this transaction has not yet written.
-- in: queue    out: n    index: the primary key of counts
SELECT coalesce((
  SELECT sum(n) FROM counts WHERE queue = $1 AND state IN ('available', 'scheduled')
), 0)::bigint + coalesce((
  SELECT sum(n) FROM count_deltas WHERE queue = $1 AND state IN ('available', 'scheduled')
), 0)::bigint
