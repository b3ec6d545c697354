-- From when the retention of the oldest finished job of a queue and state counts.
-- in: queue, state    out: kept_from    index: jobs_finished, one step
SELECT kept_from FROM jobs WHERE queue = ?1 AND state = ?2 AND kept_from IS NOT NULL ORDER BY kept_from LIMIT 1
