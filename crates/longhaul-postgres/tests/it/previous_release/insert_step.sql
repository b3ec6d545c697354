-- Keeps the output of a step; the first one stays.
-- in: job, name, output    out: 1, where it is new    index: the primary key
INSERT INTO steps (job, name, output) VALUES ($1, $2, $3) ON CONFLICT (job, name) DO NOTHING
RETURNING 1
