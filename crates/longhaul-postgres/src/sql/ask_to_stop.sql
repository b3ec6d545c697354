-- Asks a running job to stop.
-- in: seq, cancel_by, reason    index: the primary key
UPDATE jobs SET cancel_by = $2, cancel_reason = $3 WHERE seq = $1
