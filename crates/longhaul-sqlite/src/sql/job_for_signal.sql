-- The job that a signal is for.
-- in: id    out: seq, state, attempt, steps, waits_for    index: jobs_by_id, the primary key
SELECT seq, state, attempt, steps, iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL)
FROM jobs WHERE id = ?1
