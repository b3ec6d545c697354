-- The closing job of a batch that has not closed, with how its children stand.
-- in: seq    out: id, queue, priority, run_at, children_total, children_completed, children_failed, children_cancelled,
--          kind, attempt
-- index: the primary key
SELECT id, queue, priority, run_at, children_total, children_completed, children_failed, children_cancelled,
       kind, attempt
FROM jobs WHERE seq = $1 AND state = 'blocked' AND children_total IS NOT NULL
FOR UPDATE
