-- Forgets a job's steps.
-- in: job    index: the primary keys
WITH gone AS (DELETE FROM steps WHERE job = $1)
UPDATE jobs SET steps = 0 WHERE seq = $1
