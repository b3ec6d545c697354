-- The ids, of some, that jobs have.
-- in: ids    out: id    index: jobs_by_id
SELECT id FROM jobs WHERE id = ANY ($1::text[])
