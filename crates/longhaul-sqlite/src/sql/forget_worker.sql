-- Makes a job forget the worker of a claim that nobody heard of.
-- in: seq    index: the primary key
UPDATE jobs SET worker = NULL, started_at = NULL WHERE seq = ?1
