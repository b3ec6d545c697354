-- The batch that a new job joins, where its parent is a closing job that still waits.
-- in: id    out: seq    index: jobs_by_id
SELECT seq FROM jobs WHERE id = ?1 AND state = 'blocked' AND children_total IS NOT NULL
