-- Adds a row to a job's log.
-- in: job, seq, at, attempt, body
INSERT INTO events (job, seq, at, attempt, body) VALUES (?1, ?2, ?3, ?4, ?5)
