-- The parent of a new job, as far as it is known from it whether it counts its children.
-- in: id    out: seq, state, started_at, children_total, children_completed, children_failed, children_cancelled
-- index: jobs_by_id
SELECT seq, state, started_at, children_total, children_completed, children_failed, children_cancelled
FROM jobs WHERE id = ?1
