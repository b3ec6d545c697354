-- The number of available and scheduled jobs of a queue, as far as it is written.
-- in: queue    out: n    index: the primary key
SELECT coalesce(sum(n), 0) FROM counts WHERE queue = ?1 AND state IN ('available', 'scheduled')
