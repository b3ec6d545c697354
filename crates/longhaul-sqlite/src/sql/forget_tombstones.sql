-- Drops rows whose time is over.
-- in: now, limit    index: tombstones_expiring
DELETE FROM tombstones WHERE id IN (SELECT id FROM tombstones WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
