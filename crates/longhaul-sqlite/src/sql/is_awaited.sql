-- One row if one of the first dependants of a job has not ended.
-- in: seq, the number of dependants to check    out: one row or none    index: the primary keys
SELECT 1 FROM (SELECT dependant FROM dependencies WHERE job = ?1 ORDER BY dependant LIMIT ?2) e
JOIN jobs d ON d.seq = e.dependant WHERE d.state NOT IN ('completed', 'failed', 'cancelled') LIMIT 1
