-- The limit keys that are paused, by when their pauses end.
-- in: now, limit    out: limit_key, until    index: pauses_over
SELECT limit_key, until FROM pauses WHERE until > $1 ORDER BY until, limit_key LIMIT $2
