-- Drops rows whose time is over.
-- in: now, limit    index: pauses_ending
DELETE FROM pauses WHERE limit_key IN (SELECT limit_key FROM pauses WHERE until <= ?1 ORDER BY until LIMIT ?2)
