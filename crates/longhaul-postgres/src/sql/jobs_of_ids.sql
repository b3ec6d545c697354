-- Jobs by their ids.
-- in: ids    out: id, seq, state    index: jobs_by_id
SELECT id, seq, state FROM jobs WHERE id = ANY ($1::text[])
