-- What an action must know of a job.
-- in: id    out: seq, queue, state, priority, unique_key    index: jobs_by_id
SELECT seq, queue, state, priority, unique_key FROM jobs WHERE id = ?1
