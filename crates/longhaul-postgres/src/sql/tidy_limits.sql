-- Forgets groups without jobs, turns that lead nowhere, and keys of which nothing is taken. What is known of a queue's rate stays while
-- runs of it go on, whose slots are not counted in its row: they may settle their cost by it at their end.
-- in: now in microseconds, the most of each
-- index: limit_groups_closed, limit_turns_empty, limit_keys_free; the primary key of limit_groups; jobs_running_of_limited, once for each
--     queue whose rate is free
WITH idle AS (
  DELETE FROM limit_groups WHERE ctid = ANY (ARRAY(SELECT ctid FROM limit_groups WHERE closed_by = '' LIMIT $2))
  RETURNING queue, limit_key
), unnamed AS (
  DELETE FROM key_groups USING (
    SELECT known.place
    FROM (
      SELECT DISTINCT key, queue, limit_key
      FROM idle CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
    ) AS name
    CROSS JOIN LATERAL (
      SELECT ctid AS place FROM key_groups
      WHERE key_groups.key = name.key AND key_groups.queue = name.queue AND key_groups.limit_key = name.limit_key OFFSET 0
    ) AS known
    WHERE (
      SELECT limit_key FROM limit_groups AS other
      WHERE other.queue = name.queue AND other.limit_key = name.limit_key AND other.closed_by IS DISTINCT FROM '' LIMIT 1
    ) IS NULL
  ) AS unused
  WHERE key_groups.ctid = unused.place
), unturned AS (
  DELETE FROM limit_turns WHERE ctid = ANY (ARRAY(
    SELECT place FROM fair_queues CROSS JOIN LATERAL (
      SELECT ctid AS place FROM limit_turns
      WHERE limit_turns.queue = fair_queues.queue AND limit_turns.turn <= fair_queues.turn AND is_empty OFFSET 0
    ) AS spent
    LIMIT $2))
)
DELETE FROM limit_keys WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM limit_keys
  WHERE used <= 0 AND rate_free_at <= $1 AND NOT (left(key, 1) = '=' AND (
    (SELECT seq FROM jobs WHERE state = 'running' AND limited AND queue = substr(limit_keys.key, 2) LIMIT 1) IS NOT NULL
    OR (SELECT actual FROM rate_changes WHERE limit_key = limit_keys.key LIMIT 1) IS NOT NULL))
  ORDER BY rate_free_at LIMIT $2))
