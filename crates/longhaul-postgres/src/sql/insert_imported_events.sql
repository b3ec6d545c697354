-- Writes logs that another store has kept.
-- in: jobs, seqs, at, attempts, bodies of the entries
INSERT INTO events (job, seq, at, attempt, body)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
