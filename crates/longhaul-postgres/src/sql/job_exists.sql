-- Whether there is a job of an id.
-- in: id    index: jobs_by_id
SELECT 1 FROM jobs WHERE id = $1
