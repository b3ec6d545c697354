-- The number of available and scheduled jobs of a queue, without the jobs that this transaction has not written yet.
-- in: queue    out: n    index: the primary key of counts
SELECT coalesce((
  SELECT sum(n) FROM counts WHERE queue = $1 AND state IN ('available', 'scheduled')
), 0)::bigint + coalesce((
  SELECT sum(n) FROM count_deltas WHERE queue = $1 AND state IN ('available', 'scheduled')
), 0)::bigint
