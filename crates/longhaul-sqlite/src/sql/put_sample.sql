-- Keeps a sample, in the place of an earlier one of the same series, moment and source.
-- in: series, at, source, keep_for, expires_at, body    index: the primary key
INSERT OR REPLACE INTO samples (series, at, source, keep_for, expires_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
