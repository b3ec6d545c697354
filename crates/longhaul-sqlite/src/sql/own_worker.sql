-- Notes whose process a worker lives in, where nothing is known of it yet.
-- in: id, info, seen_at, owned
INSERT INTO workers (id, info, seen_at, owned) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING
