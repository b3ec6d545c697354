-- Jobs that an action may apply to, held for this transaction.
-- in: ids, and what the conditions of the filter (see read/filter.rs) compare with
-- out: id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at,
--      state_event, true where it has limit keys    index: jobs_by_id
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event,
       limit_key IS NOT NULL
FROM jobs WHERE id = ANY ($1::text[]) AND {conditions}
ORDER BY id FOR UPDATE
