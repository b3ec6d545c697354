-- A job that something happens to because of another, or because of the time.
-- in: seq    out: id, started_at, policy, then as job_for_action.sql    index: the primary key
SELECT id, started_at, policy AS times,
  seq, queue, state, priority, batch, cancel_by, kind, attempt, run_at, limit_key, version, policy,
  unique_key, unique_period, iif(unique_key IS NULL, NULL, policy) AS beside,
  iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL)
FROM jobs WHERE seq = ?1
