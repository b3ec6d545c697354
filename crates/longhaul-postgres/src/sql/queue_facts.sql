-- A queue as a claim that looks at groups has to know it. Jobs without keys that have come anew to a fair queue begin with the
-- turn that was taken last, which is noted where the lock of limits is held (see lock_limits.sql).
-- in: queue
-- out: true where it is paused; the latest turn, where it is fair (null: it is not); the turn of its jobs without keys; where it
--     has limits, the name of its key, what its runs take of its slots, rate, rate_free_at, null, its configuration
-- index: the primary keys; queues_limited; jobs_running_of_limited; jobs_available, one step for each kind and version, in a fair queue
WITH fair AS MATERIALIZED (
  SELECT queue, turn FROM fair_queues WHERE queue = $1
), plain AS MATERIALIZED (
  SELECT turn, is_empty FROM limit_turns WHERE queue = $1 AND limit_key = ''
), come AS (
  INSERT INTO limit_turns (queue, limit_key, turn, is_empty)
  SELECT $1, '', fair.turn, false FROM fair
  -- Of the queue's row, and so not looked for where there is none.
  WHERE (SELECT current_setting('longhaul.limits', true) = 'held') AND coalesce((SELECT is_empty FROM plain), true)
    AND has_plain_jobs(fair.queue)
  ON CONFLICT (queue, limit_key) DO UPDATE SET turn = greatest(limit_turns.turn, excluded.turn), is_empty = false
  RETURNING turn
), limits AS MATERIALIZED (
  SELECT config FROM queues WHERE name = $1 AND (config LIKE '%"slots":%' OR config LIKE '%"rate":%')
)
SELECT
  EXISTS (SELECT FROM paused_queues WHERE queue = $1),
  (SELECT turn FROM fair),
  coalesce((SELECT turn FROM come), (SELECT turn FROM plain), 0),
  '=' || $1,
  (SELECT coalesce(sum(slots_of(policy)), 0)::bigint FROM jobs
   WHERE state = 'running' AND limited AND queue = $1 AND (SELECT config FROM limits) IS NOT NULL),
  (SELECT rate FROM limit_keys WHERE key = '=' || $1),
  coalesce((SELECT rate_free_at FROM limit_keys WHERE key = '=' || $1), 0),
  NULL::bigint,
  (SELECT config FROM limits)
