-- Ends a new job, which was created as cancelled.
-- in: seq, now, reason, kept_from    index: the primary key
UPDATE jobs SET finished_at = ?2, kept_from = ?4, cancel_reason = ?3 WHERE seq = ?1
