-- Forgets a step of a job and those after it: first stand those of a release that kept no order.
-- in: job, name    index: the primary keys
WITH gone AS (
  DELETE FROM steps WHERE job = $1 AND (coalesce(seq, 0), CASE WHEN seq IS NULL THEN name ELSE '' END) >= (
    SELECT coalesce(seq, 0), CASE WHEN seq IS NULL THEN name ELSE '' END FROM steps WHERE job = $1 AND name = $2)
  RETURNING 1
)
UPDATE jobs SET steps = steps - (SELECT count(*) FROM gone) WHERE seq = $1
