-- A job that counts its children, with how they stand, and what it waits for where it is blocked (null: its children).
-- in: seq
-- out: id, kind, queue, priority, attempt, run_at, state, waits_for, children_total, children_completed, children_failed,
--      children_cancelled, limit_key, version, policy (of a job with limit keys)
-- index: the primary keys
SELECT id, kind, queue, priority, attempt, run_at, state,
  iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL),
  children_total, children_completed, children_failed, children_cancelled, limit_key, version,
  iif(limit_key IS NULL, NULL, policy) AS policy
FROM jobs WHERE seq = ?1
