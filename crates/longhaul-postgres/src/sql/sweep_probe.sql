-- True if a sweep has anything to do besides forgetting silent workers.
-- in: now (null: the server's time)    out: true if it has
-- index: each table's own on its time
WITH clock AS MATERIALIZED (
  SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) AS now
)
SELECT
  EXISTS (SELECT FROM jobs WHERE state = 'scheduled' AND run_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM jobs WHERE state = 'blocked' AND wakes_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM ended_dependencies)
  OR EXISTS (SELECT FROM jobs WHERE state = 'running' AND lease_until <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM jobs WHERE cancel_by <= (SELECT now FROM clock))
  OR EXISTS (
    SELECT FROM jobs
    WHERE finished_at IS NULL AND coalesce(expires_at, deadline) IS NOT NULL
      AND ends_at(started_at, expires_at, deadline) <= (SELECT now FROM clock)
      AND (state <> 'running' OR cancel_by IS NULL OR cancel_by > (SELECT now FROM clock) + 30000))
  OR EXISTS (SELECT FROM count_deltas)
  OR EXISTS (
    SELECT FROM counts
    WHERE state IN ('completed', 'failed', 'cancelled') AND prune_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM unique_keys WHERE expires_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM idempotency_keys WHERE expires_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM tombstones WHERE expires_at <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM pauses WHERE until <= (SELECT now FROM clock))
  OR EXISTS (SELECT FROM slot_changes)
  OR EXISTS (SELECT FROM rate_changes)
  OR EXISTS (SELECT FROM arrivals)
  OR EXISTS (SELECT FROM limit_groups WHERE closed_by = '')
  -- But for those of queues with runs: see tidy_limits.sql.
  OR EXISTS (
    SELECT FROM limit_keys
    WHERE used <= 0 AND rate_free_at <= (SELECT now * 1000 FROM clock) AND NOT (left(key, 1) = '='
      AND (SELECT seq FROM jobs WHERE state = 'running' AND limited AND queue = substr(limit_keys.key, 2) LIMIT 1) IS NOT NULL))
  OR EXISTS (SELECT FROM samples WHERE expires_at <= (SELECT now FROM clock))
