-- Adds up the changes of counts. Nobody waits for it: two at once are kept apart by a lock that is tried, not awaited.
WITH gone AS (
  DELETE FROM count_deltas
  WHERE pg_try_advisory_xact_lock(hashtextextended(current_schema() || ':counts', 0))
  RETURNING queue, state, n
)
INSERT INTO counts (queue, state, n)
SELECT queue, state, sum(n)::bigint FROM gone GROUP BY queue, state ORDER BY queue, state
ON CONFLICT (queue, state) DO UPDATE SET n = counts.n + excluded.n
