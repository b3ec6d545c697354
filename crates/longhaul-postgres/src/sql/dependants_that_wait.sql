-- Jobs that are blocked until others have ended, held for this transaction in one order.
-- in: seqs
-- out: as target.rs reads it; dependencies_left, children_total, children_completed, children_failed, children_cancelled
-- index: the primary key
SELECT id, seq, queue, state, priority, unique_key, batch, cancel_by, kind, attempt, run_at, state_event, limit_key, hold,
       unique_period, created_at, started_at,
       dependencies_left, children_total, children_completed, children_failed, children_cancelled
FROM jobs WHERE seq = ANY ($1::bigint[]) AND state = 'blocked' AND waits_for = 'dependencies'
ORDER BY seq FOR UPDATE
