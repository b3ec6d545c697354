-- The samples of a series from a moment on, but for those whose time is over.
-- in: series, at, now, limit    out: at, source, expires_at, body    index: the primary key
SELECT at, source, expires_at, body FROM samples
WHERE series = $1 AND at >= $2 AND expires_at > $3
ORDER BY at, source LIMIT $4
