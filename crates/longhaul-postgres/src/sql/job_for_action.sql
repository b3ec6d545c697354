-- What an action must know of a job, held for this transaction.
-- in: id    out: seq, queue, state, priority, unique_key, batch    index: jobs_by_id
SELECT seq, queue, state, priority, unique_key, batch FROM jobs WHERE id = $1 FOR UPDATE
