-- Sets a queue's configuration.
--
-- ARGV[2], ARGV[3]  the queue, and its configuration in JSON

call('HSET', root .. 'queues', ARGV[2], ARGV[3])
return 1
