-- Notes that the oldest entries of a job's log are gone, up to the one of number `gap`.
-- in: seq, gap, entries, bytes    index: the primary key
UPDATE jobs SET log_gap = ?2, log_entries = log_entries - ?3, log_bytes = log_bytes - ?4 WHERE seq = ?1
