-- Moves the count of jobs that are noted as waiting under a bound.
-- in: bound, change    index: the primary key
INSERT INTO bounded_counts (bound, n) VALUES (?1, ?2) ON CONFLICT (bound) DO UPDATE SET n = n + excluded.n
