-- The cost of the run of a lease to its limit keys and its queue.
-- in: id, token    out: limit_key or '', queue, policy    index: jobs_by_id
SELECT coalesce(limit_key, ''), queue, policy FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'
