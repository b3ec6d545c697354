-- Keeps samples; each takes the place of an earlier one of its series, moment and source.
-- in: series, moments, sources, expires_at, bodies    index: the primary key
INSERT INTO samples (series, at, source, expires_at, body)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
ON CONFLICT (series, at, source) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body
