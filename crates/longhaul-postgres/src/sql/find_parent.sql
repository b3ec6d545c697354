-- A job that counts its children, with how they stand; held for this transaction.
-- in: seq    out: id, queue, priority, kind, attempt, state, waits_for (of a blocked job; null: its children),
--          children_total, children_completed, children_failed, children_cancelled
-- index: the primary key
SELECT id, queue, priority, kind, attempt, state, waits_for,
       children_total, children_completed, children_failed, children_cancelled
FROM jobs WHERE seq = $1
FOR UPDATE
