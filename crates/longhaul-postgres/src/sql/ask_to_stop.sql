-- Asks a running job to stop.
-- in: seq, cancel_by    index: the primary key
UPDATE jobs SET cancel_by = $2 WHERE seq = $1
