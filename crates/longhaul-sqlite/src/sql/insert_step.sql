-- Notes that a step is done; the first output of a name stays.
-- in: job, name, output, attempt, finished_at, took, place    index: the primary key
INSERT OR IGNORE INTO steps (job, name, output, attempt, finished_at, took, place) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
