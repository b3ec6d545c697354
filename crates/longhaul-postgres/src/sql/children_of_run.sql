-- The counts of a job's children.
-- in: seq    out: children_total, children_completed, children_failed, children_cancelled    index: the primary key
SELECT children_total, children_completed, children_failed, children_cancelled FROM jobs WHERE seq = $1
