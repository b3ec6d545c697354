-- What a transaction must know at its beginning: the newest number, and whether any queue is paused or fair, or any job with
-- limit keys waits.
-- out: seq, 1 or 0, 1 or 0, 1 or 0    index: the end of the primary keys
SELECT
  coalesce((SELECT max(seq) FROM jobs), 0),
  EXISTS (SELECT 1 FROM paused_queues),
  EXISTS (SELECT 1 FROM fair_queues),
  EXISTS (SELECT 1 FROM key_groups)
