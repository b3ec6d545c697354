-- The samples of a series from a moment on, by moment and source.
-- in: series, at, now, limit    out: at, source, keep_for, body    index: the primary key
SELECT at, source, keep_for, body FROM samples
WHERE series = ?1 AND at >= ?2 AND expires_at > ?3
ORDER BY at, source LIMIT ?4
