-- Sets a queue's configuration.
--
-- ARGV[2], ARGV[3]  the queue, and its configuration in JSON
-- ARGV[4], ARGV[5]  '1' where its retention has a count, '1' where it is fair
-- ARGV[6]           how many may wait and what happens then, as it is kept, or ''
-- ARGV[7]           its limits, packed as `limits.lua` names them, or ''
-- ARGV[8]           '=' and the configuration in JSON in whose place it is set ('=' alone: there is none), or '' for any
-- Returns           2 where those that wait must be looked at, because these are bounded now, 0 where another configuration is there, or
--                   else 1

if ARGV[8] ~= '' and ARGV[8] ~= '=' .. (call('HGET', root .. 'queues', ARGV[2]) or '') then return 0 end
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

-- The used limits stay, except under a new rate; running jobs count.
local limit = '=' .. ARGV[2]
local limits_before = call('HGET', root .. 'limit_config', limit) or ''
if limits_before ~= ARGV[7] then
  local function rate_of(packed_limits)
    return packed_limits ~= '' and cmsgpack.unpack(packed_limits)[RATE_NAME] or ''
  end
  local used, free_at, rate = string.match(call('HGET', root .. 'limits', limit) or '0|0|', '^(%d+)|(%d+)|(.*)$')
  if rate_of(limits_before) ~= rate_of(ARGV[7]) then free_at, rate = '0', '' end
  if ARGV[7] ~= '' then
    write_now('HSET', root .. 'limit_config', limit, ARGV[7])
    write_now('SADD', root .. 'limited', ARGV[2])
    used = hold_running(function(job)
      return job[QUEUE] == ARGV[2] and { limit } or {}
    end)[limit] or 0
  else
    write_now('HDEL', root .. 'limit_config', limit)
    write_now('SREM', root .. 'limited', ARGV[2])
  end
  write_now('HSET', root .. 'limits', limit, format('%d|%s|%s', used, free_at, rate))
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
