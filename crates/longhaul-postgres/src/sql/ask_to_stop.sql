-- Asks a running job to stop; a second request may shorten the grace and cannot lengthen it.
-- in: seq, cancel_by    index: the primary key
UPDATE jobs SET cancel_by = least(cancel_by, $2) WHERE seq = $1
