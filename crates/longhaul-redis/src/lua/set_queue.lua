-- Sets a queue's configuration.
--
-- ARGV[2], ARGV[3]  the queue, and its configuration in JSON
-- ARGV[4], ARGV[5]  '1' where its retention has a count, '1' where it is fair
-- ARGV[6]           how many may wait and what happens then, as it is kept, or ''
-- Returns           2 where those that wait must be looked at, because these are bounded now, or else 1

call('HSET', root .. 'queues', ARGV[2], ARGV[3])
write_now(ARGV[4] == '1' and 'SADD' or 'SREM', root .. 'capped', ARGV[2])
-- History that may be removed by now is due at once.
for state = COMPLETED, CANCELLED do
  local place = ARGV[2] .. '|' .. state
  if call('HEXISTS', root .. 'counts', place) == 1 then write_now('ZADD', root .. 'prune', digits(now), place) end
end
-- All turns begin anew where it becomes fair, or is so no more. Claims go on with the places of its groups where there are many.
local has_changed = write_now(ARGV[5] == '1' and 'SADD' or 'SREM', root .. 'fair', ARGV[2])
if has_changed == 1 then
  write_now('DEL', root .. 'turn|' .. ARGV[2])
  local further = groups().rehang(ARGV[2], '-')
  write_now('HDEL', root .. 'rehung', ARGV[2])
  if further then write('HSET', root .. 'rehung', ARGV[2], further) end
  topics['q' .. ARGV[2]] = true
  done()
end
local bound, earlier = 'q' .. ARGV[2], call('HGET', root .. 'bounds', 'q' .. ARGV[2])
if ARGV[6] ~= '' then
  write_now('HSET', root .. 'bounds', bound, ARGV[6])
elseif earlier then
  write_now('HDEL', root .. 'bounds', bound)
  write_now('ZREMRANGEBYLEX', root .. 'waiting', '[' .. bound .. ' ', '(' .. bound .. '!')
end
return ARGV[6] ~= '' and not earlier and 2 or 1
