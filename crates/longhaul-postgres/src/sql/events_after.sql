-- A piece of a job's log, up to what its row knows of: the row is read first, and the two are of one moment then.
-- in: job, after, limit, last_event    out: seq, at, attempt, body    index: the primary key
SELECT seq, at, attempt, body FROM events WHERE job = $1 AND seq > $2 AND seq <= $4 ORDER BY seq LIMIT $3
