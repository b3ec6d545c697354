-- How many jobs of a queue are available or scheduled, as far as that is written.
-- in: queue    out: n    index: the primary key
SELECT coalesce(sum(n), 0) FROM counts WHERE queue = ?1 AND state IN ('available', 'scheduled')
