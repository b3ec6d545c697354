-- A piece of a job's log, up to what its row knows of. The row is read before; nothing where the job was removed since, or its log has lost
-- entries, so that the two are of one moment.
-- in: job, after, limit, last_event, log_gap    out: seq (null: there is no entry), at, attempt, body    index: the primary keys
SELECT entry.seq, entry.at, entry.attempt, entry.body
FROM (SELECT seq FROM jobs WHERE seq = $1 AND log_gap = $5) AS job LEFT JOIN LATERAL (
  SELECT seq, at, attempt, body FROM events WHERE job = $1 AND seq > $2 AND seq <= $4 ORDER BY seq LIMIT $3
) AS entry ON true ORDER BY entry.seq
