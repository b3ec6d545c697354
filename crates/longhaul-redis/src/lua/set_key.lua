-- Sets the limits of a limit key, or of a prefix, or takes them away.
--
-- ARGV[2]  the key, or a prefix with its '*'
-- ARGV[3]  its limits, packed as `limits.lua` names them, or ''
-- Returns  1

local name = ARGV[2]
local is_prefix, length = sub(name, -1) == '*', #name - 1
local had_limits = call('HEXISTS', root .. 'limit_config', name) == 1
if ARGV[3] ~= '' then
  write_now('HSET', root .. 'limit_config', name, ARGV[3])
  write_now('ZADD', root .. 'named', 0, name)
  if is_prefix and not had_limits then write_now('HINCRBY', root .. 'limit_lengths', length, 1) end
elseif had_limits then
  write_now('HDEL', root .. 'limit_config', name)
  write_now('ZREM', root .. 'named', name)
  if is_prefix and write_now('HINCRBY', root .. 'limit_lengths', length, -1) == 0 then
    write_now('HDEL', root .. 'limit_lengths', length)
  end
end
-- What these limits keep back may go now. Of a prefix that many keys have, claims look at the others.
write_now('ZADD', root .. 'opens', 0, name)
groups().due()
for _, topic in ipairs(is_watched and call('SMEMBERS', root .. 'watched') or {}) do
  if sub(topic, 1, 1) == 'q' then topics[topic] = true end
end
done()
return 1
