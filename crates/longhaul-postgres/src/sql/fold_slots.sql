-- Adds up what runs have taken of keys and given back, where the lock of limits is held (see lock_limits.sql), and opens the gates of keys of which slots were given back.
-- Takes out what runs have taken of rates in truth.
-- in: now    out: queues in which gates have opened, null; null, prefixes that were configured; null, null, joined keys of a run
--     and the units of its rates that were reserved and taken
-- index: the primary keys of limit_keys and limit_gates
WITH gone AS (
  DELETE FROM slot_changes WHERE (SELECT current_setting('longhaul.limits', true) = 'held') RETURNING limit_key, change
), sums AS MATERIALIZED (
  SELECT key, sum(change)::bigint AS change, bool_or(change <= 0) AS opens
  FROM gone CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
  GROUP BY key
), kept AS (
  INSERT INTO limit_keys (key, used) SELECT key, change FROM sums WHERE change <> 0
  ON CONFLICT (key) DO UPDATE SET used = greatest(limit_keys.used + excluded.used, 0)
), settled AS (
  DELETE FROM rate_changes WHERE (SELECT current_setting('longhaul.limits', true) = 'held') RETURNING limit_key, reserved, actual
), opened AS (
  UPDATE limit_gates SET opens_at = $1
  FROM sums CROSS JOIN LATERAL (
    SELECT ctid AS place FROM limit_gates WHERE key = sums.key AND (opens_at IS NULL OR opens_at > $1) OFFSET 0
  ) AS closed
  WHERE sums.opens AND limit_gates.ctid = closed.place
  RETURNING queue
)
SELECT DISTINCT queue, NULL, NULL, NULL::bigint, NULL::bigint FROM opened
UNION ALL
SELECT NULL, key, NULL, NULL, NULL FROM sums WHERE right(key, 1) = '*'
UNION ALL
SELECT NULL, NULL, limit_key, reserved, actual FROM settled
