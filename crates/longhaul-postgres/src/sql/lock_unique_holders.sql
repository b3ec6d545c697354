-- Holds the jobs that have unique keys for this transaction, in one order. What is read of them after this does not change.
-- in: keys    out: seq    index: the primary keys of both tables
SELECT seq FROM jobs
WHERE seq = ANY (ARRAY(SELECT job FROM unique_keys WHERE key = ANY ($1::text[])))
ORDER BY seq FOR UPDATE
