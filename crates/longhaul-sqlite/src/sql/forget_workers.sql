-- Drops workers that were not heard of for long.
-- in: seen at, limit    index: workers_by_age
DELETE FROM workers WHERE id IN (SELECT id FROM workers WHERE seen_at <= ?1 ORDER BY seen_at LIMIT ?2)
