-- The number of finished jobs of a queue and state that are kept because they hold their unique key.
-- in: queue, state, now    out: n    index: jobs_finished
SELECT count(*) FROM jobs WHERE queue = ?1 AND state = ?2 AND kept_from IS NOT NULL AND kept_from > ?3
