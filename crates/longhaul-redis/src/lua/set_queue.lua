-- Sets a queue's configuration.
--
-- ARGV[2], ARGV[3]  the queue, and its configuration in JSON
-- ARGV[4]           '1' where its retention has a count
-- Returns           1

call('HSET', root .. 'queues', ARGV[2], ARGV[3])
write_now(ARGV[4] == '1' and 'SADD' or 'SREM', root .. 'capped', ARGV[2])
-- History that may be removed by now is due at once.
for state = COMPLETED, CANCELLED do
  local place = ARGV[2] .. '|' .. state
  if call('HEXISTS', root .. 'counts', place) == 1 then write_now('ZADD', root .. 'prune', digits(now), place) end
end
return 1
