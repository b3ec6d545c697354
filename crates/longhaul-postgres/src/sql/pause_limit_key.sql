-- Pauses a limit key; a longer pause stays.
-- in: limit_key, until    out: until    index: the primary key
INSERT INTO pauses (limit_key, until) VALUES ($1, $2)
ON CONFLICT (limit_key) DO UPDATE SET until = greatest(pauses.until, excluded.until)
RETURNING until
