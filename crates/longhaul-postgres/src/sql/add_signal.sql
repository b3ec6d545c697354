-- Keeps a signal as a step of its job; the first of a name stays.
-- in: job, name, output, attempt, now    out: true, where it is new    index: the primary keys
WITH added AS (
  INSERT INTO steps (job, name, output, attempt, finished_at, took) VALUES ($1, $2, $3, $4, $5, 0)
  ON CONFLICT (job, name) DO NOTHING
  RETURNING job
)
UPDATE jobs SET steps = steps + 1 FROM added WHERE jobs.seq = added.job RETURNING true
