-- The used limits of queues.
-- out: name of the queue's key, slots that its runs take, rate, rate_free_at, null
-- index: queues_limited; jobs_running_of_limited and the primary key of limit_keys, once for each
SELECT '=' || name,
  (SELECT coalesce(sum(slots_of(policy)), 0)::bigint FROM jobs WHERE state = 'running' AND limited AND queue = queues.name),
  (SELECT rate FROM limit_keys WHERE key = '=' || queues.name),
  coalesce((SELECT rate_free_at FROM limit_keys WHERE key = '=' || queues.name), 0),
  NULL::bigint
FROM queues WHERE config LIKE '%"slots":%' OR config LIKE '%"rate":%'
