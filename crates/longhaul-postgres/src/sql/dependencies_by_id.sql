-- Jobs that new or imported ones depend on, held for this transaction in the order that completions take, so that none ends before these are there.
-- in: ids    out: id, seq, state    index: jobs_by_id
SELECT id, seq, state FROM jobs WHERE id = ANY ($1::text[])
ORDER BY id FOR UPDATE
