-- Ends the pause of a limit key.
-- in: key    index: the primary key
DELETE FROM pauses WHERE limit_key = $1
