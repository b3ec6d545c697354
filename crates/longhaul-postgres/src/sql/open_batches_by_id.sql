-- The batches that new jobs join, where their parents are closing jobs that still wait; locked in one order.
-- in: ids    out: id, seq    index: jobs_by_id
SELECT id, seq FROM jobs WHERE id = ANY ($1::text[]) AND state = 'blocked' AND children_total IS NOT NULL
ORDER BY seq FOR UPDATE
