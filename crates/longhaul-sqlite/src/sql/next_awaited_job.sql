-- The job that follows another among those that others depend on and have not counted, with its state (null: it is gone).
-- in: job    out: job, state    index: dependencies_awaited, one step
SELECT d.job, j.state
FROM (SELECT job FROM dependencies INDEXED BY dependencies_awaited WHERE settled = 0 AND job > ?1 ORDER BY job LIMIT 1) d
LEFT JOIN jobs j ON j.seq = d.job
