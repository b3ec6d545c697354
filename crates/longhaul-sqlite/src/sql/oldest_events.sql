-- The oldest entries of a job's log, with their bytes.
-- in: job, limit    out: seq, bytes    index: the primary key
SELECT seq, octet_length(body) FROM events WHERE job = ?1 ORDER BY seq LIMIT ?2
