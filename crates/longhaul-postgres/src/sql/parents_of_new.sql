-- The parents of new jobs, as far as it is known from them whether they count their children; locked in one order.
-- in: ids
-- out: id, seq, state, started_at, children_total, children_completed, children_failed, children_cancelled
-- index: jobs_by_id
SELECT id, seq, state, started_at, children_total, children_completed, children_failed, children_cancelled
FROM jobs WHERE id = ANY ($1::text[])
ORDER BY seq FOR UPDATE
