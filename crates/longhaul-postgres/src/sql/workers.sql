-- The workers heard of since a time.
-- in: since    out: info, seen_at
SELECT info, seen_at FROM workers WHERE seen_at > $1 ORDER BY id
