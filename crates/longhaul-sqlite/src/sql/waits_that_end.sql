-- Waits whose time is over, oldest first.
-- in: now, limit    out: job    index: waits_ending
SELECT job FROM waits WHERE wakes_at <= ?1 ORDER BY wakes_at LIMIT ?2
