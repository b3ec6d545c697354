-- A piece of a job's log.
-- in: job, after, limit    out: seq, at, attempt, body    index: the primary key
SELECT seq, at, attempt, body FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3
