-- A job's log from an entry on, of which the reader takes as many as it wants.
-- in: job, after    out: seq, at, attempt, body    index: the primary key
SELECT seq, at, attempt, body FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq
