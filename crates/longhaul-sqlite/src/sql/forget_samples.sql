-- Drops rows whose time is over.
-- in: now, limit    index: samples_expiring
DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
