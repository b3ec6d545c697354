-- Adds rows to a job's log.
-- in: job, seqs, at, attempt, bodies
INSERT INTO events (job, seq, at, attempt, body)
SELECT $1, seq, $3, $4, body FROM unnest($2::bigint[], $5::text[]) AS entry (seq, body)
