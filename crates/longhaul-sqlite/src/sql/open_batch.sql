-- The closing job of a batch that has not closed, with how its children stand.
-- in: seq
-- out: id, kind, queue, priority, attempt, run_at, children_total, children_completed, children_failed, children_cancelled,
--      limit_key, version, policy
-- index: the primary key
SELECT id, kind, queue, priority, attempt, run_at, children_total, children_completed, children_failed, children_cancelled,
  limit_key, version, policy
FROM jobs WHERE seq = ?1 AND state = 'blocked' AND children_total IS NOT NULL
