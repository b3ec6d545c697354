-- Removes a job.
-- in: seq    out: id, unique_key, kind, attempt, limit_key, held, children_total    index: the primary key
DELETE FROM jobs WHERE seq = ?1 RETURNING id, unique_key, kind, attempt, limit_key, held, children_total
