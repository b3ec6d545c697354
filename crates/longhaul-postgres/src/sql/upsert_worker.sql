-- Notes that a worker lives.
-- in: id, info, seen_at
INSERT INTO workers (id, info, seen_at) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET info = excluded.info, seen_at = excluded.seen_at
