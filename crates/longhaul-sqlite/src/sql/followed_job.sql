-- A job that has a unique key.
-- in: id, key    out: seq, state, policy    index: jobs_by_id
SELECT seq, state, policy FROM jobs WHERE id = ?1 AND unique_key = ?2
