-- Makes a worker known, or notes that it lives.
-- in: id, info, seen_at, owned
INSERT INTO workers (id, info, seen_at, owned) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET info = excluded.info, seen_at = excluded.seen_at, owned = excluded.owned
