-- Running jobs that were asked to stop and whose grace is over.
-- in: now, limit    out: id, token    index: jobs_stopping
SELECT id, token FROM jobs WHERE cancel_by <= $1 ORDER BY cancel_by LIMIT $2
FOR UPDATE SKIP LOCKED
