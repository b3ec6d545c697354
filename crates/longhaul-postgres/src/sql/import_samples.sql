-- Keeps samples that another store keeps, unless there are some in their places.
-- in: series, moments, sources, expires_at, bodies, now    out: series, at, source, of those that were not    index: the primary key
INSERT INTO samples (series, at, source, expires_at, body)
SELECT series, at, source, expires_at, body
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[]) AS kept (series, at, source, expires_at, body)
WHERE expires_at > $6
ON CONFLICT (series, at, source) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body
WHERE samples.expires_at <= $6
RETURNING series, at, source
