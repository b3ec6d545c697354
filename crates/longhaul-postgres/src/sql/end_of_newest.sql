-- The newest finished job of a queue and state that is not among the newest ones, of those whose keys are free.
-- in: queue, state, now, how many are newest    out: kept_from, seq    index: jobs_finished
SELECT kept_from, seq FROM jobs
WHERE queue = $1 AND state = $2 AND kept_from IS NOT NULL AND kept_from <= $3
ORDER BY kept_from DESC, seq DESC LIMIT 1 OFFSET $4
