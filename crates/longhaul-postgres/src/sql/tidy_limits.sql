-- Forgets groups without jobs, turns that lead nowhere, and keys of which nothing is taken.
-- in: now in microseconds, the most of each
-- index: limit_groups_closed, limit_turns_empty, limit_keys_free; the primary key of limit_groups
WITH idle AS (
  DELETE FROM limit_groups WHERE ctid = ANY (ARRAY(SELECT ctid FROM limit_groups WHERE closed_by = '' LIMIT $2))
  RETURNING queue, limit_key
), unnamed AS (
  DELETE FROM key_groups USING (
    SELECT DISTINCT key, queue, limit_key
    FROM idle CROSS JOIN LATERAL unnest(string_to_array(limit_key, ',')) AS key
  ) AS name
  WHERE key_groups.key = name.key AND key_groups.queue = name.queue AND key_groups.limit_key = name.limit_key
    AND NOT EXISTS (
      SELECT FROM limit_groups AS other
      WHERE other.queue = name.queue AND other.limit_key = name.limit_key AND other.closed_by IS DISTINCT FROM '')
), unturned AS (
  DELETE FROM limit_turns WHERE ctid = ANY (ARRAY(
    SELECT limit_turns.ctid FROM fair_queues
    JOIN limit_turns ON limit_turns.queue = fair_queues.queue AND limit_turns.turn <= fair_queues.turn
    WHERE is_empty LIMIT $2))
)
DELETE FROM limit_keys WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM limit_keys WHERE used <= 0 AND rate_free_at <= $1 ORDER BY rate_free_at LIMIT $2))
