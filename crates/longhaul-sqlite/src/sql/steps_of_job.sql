-- The steps of a job that are done, in the order in which they were; first those of a release that kept no order.
-- in: job    out: name, attempt, finished_at, took, output    index: the primary key
SELECT name, attempt, finished_at, took, output FROM steps WHERE job = ?1 ORDER BY place, name
