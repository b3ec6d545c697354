-- The state that a transaction reads at its beginning: the newest number, and whether any queue is paused or fair, any job with
-- limit keys waits, any queue or limit key has a bound on waiting jobs, any job depends on another, has not counted its end, or has
-- been left to do so, any wait times out, and any queue has slots or a rate.
-- out: seq, and 1 or 0 ten times
-- index: the end of the primary keys; queues_bounded, key_configs_bounded, dependencies_awaited, waits_ending,
-- queues_limited
SELECT
  coalesce((SELECT max(seq) FROM jobs), 0),
  EXISTS (SELECT 1 FROM paused_queues),
  EXISTS (SELECT 1 FROM fair_queues),
  EXISTS (SELECT 1 FROM key_groups),
  EXISTS (SELECT 1 FROM queues INDEXED BY queues_bounded WHERE max_waiting IS NOT NULL),
  EXISTS (SELECT 1 FROM key_configs INDEXED BY key_configs_bounded WHERE max_waiting IS NOT NULL),
  EXISTS (SELECT 1 FROM dependencies),
  EXISTS (SELECT 1 FROM dependencies INDEXED BY dependencies_awaited WHERE settled = 0),
  EXISTS (SELECT 1 FROM ended_dependencies),
  EXISTS (SELECT 1 FROM waits INDEXED BY waits_ending WHERE wakes_at IS NOT NULL),
  EXISTS (SELECT 1 FROM queues INDEXED BY queues_limited WHERE limited = 1)
