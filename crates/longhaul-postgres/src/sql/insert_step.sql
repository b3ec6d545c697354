-- Keeps the output of a step; the first one stays.
-- in: job, name, output, attempt, now, took    out: 1, where it is new    index: the primary key
INSERT INTO steps (job, name, output, attempt, finished_at, took) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (job, name) DO NOTHING
RETURNING 1
