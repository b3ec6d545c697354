-- Jobs by their ids, held for this transaction so that none of them ends before its dependants are there.
-- in: ids    out: id, seq, state    index: jobs_by_id
SELECT id, seq, state FROM jobs WHERE id = ANY ($1::text[]) ORDER BY seq FOR UPDATE
