-- Jobs that new ones depend on, held for this transaction in one order, so that none ends before these are there.
-- in: ids    out: id, seq, state    index: jobs_by_id
SELECT id, seq, state FROM jobs WHERE id = ANY ($1::text[])
ORDER BY seq FOR UPDATE
