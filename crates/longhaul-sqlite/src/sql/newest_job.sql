-- What a transaction must know at its beginning: the newest number, and whether any queue is paused or fair, any job with
-- limit keys waits, and any queue or limit key bounds what waits.
-- out: seq, 1 or 0, 1 or 0, 1 or 0, 1 or 0, 1 or 0
-- index: the end of the primary keys; queues_bounded, key_configs_bounded
SELECT
  coalesce((SELECT max(seq) FROM jobs), 0),
  EXISTS (SELECT 1 FROM paused_queues),
  EXISTS (SELECT 1 FROM fair_queues),
  EXISTS (SELECT 1 FROM key_groups),
  EXISTS (SELECT 1 FROM queues INDEXED BY queues_bounded WHERE max_waiting IS NOT NULL),
  EXISTS (SELECT 1 FROM key_configs INDEXED BY key_configs_bounded WHERE max_waiting IS NOT NULL)
