-- Pauses a queue: its jobs stay as they are, and claims look at the set of paused queues.
--
-- ARGV[2]  the queue
-- Returns  1

call('SADD', root .. 'paused_queues', ARGV[2])
return 1
