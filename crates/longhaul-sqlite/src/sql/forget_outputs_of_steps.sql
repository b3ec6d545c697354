-- Leaves of a completed job's steps their times.
-- in: job    index: the primary key
UPDATE steps SET output = '' WHERE job = ?1
