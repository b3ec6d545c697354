-- Sets the limits of a limit key, or of a prefix, or takes them away.
--
-- ARGV[2]  the key, or a prefix with its '*'
-- ARGV[3]  its limits, packed as `limits.lua` names them, or ''
-- ARGV[4]  '1' where these bound how many may wait
-- Returns  2 where those that wait must be looked at, because other bounds hold for them now, or else 1

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
-- Runs that began before anything was counted of a key count from now on.
local _, uncounted_before = hold_running(function(job)
  local keys = {}
  for _, key in ipairs(groups().split(job[LIMIT_KEY])) do
    if key == name or is_prefix and sub(key, 1, length) == sub(name, 1, length) then keys[#keys + 1] = key end
  end
  return keys
end)
for key, slots in pairs(uncounted_before) do
  groups().count_taken(key, slots)
end
-- Groups that these limits hold back may be claimed now. For a prefix of many keys, claims look at the others.
write_now('ZADD', root .. 'opens', 0, name)
groups().due()
for _, topic in ipairs(is_watched and call('SMEMBERS', root .. 'watched') or {}) do
  if sub(topic, 1, 1) == 'q' then topics[topic] = true end
end
done()
local is_bound, was_bound = ARGV[4] == '1', call('HEXISTS', root .. 'bounds', 'k' .. name) == 1
if is_bound then
  write_now('HSET', root .. 'bounds', 'k' .. name, '')
elseif was_bound then
  write_now('HDEL', root .. 'bounds', 'k' .. name)
end
-- Limits of its own, bounded or not, go before those of a prefix.
local is_same = is_bound == was_bound and (ARGV[3] ~= '') == had_limits
if is_same or call('EXISTS', root .. 'bounds') == 0 and not was_bound then return 1 end
local from = '[k' .. (is_prefix and sub(name, 1, length) or name .. ' ')
write_now('ZREMRANGEBYLEX', root .. 'waiting', from, '(k' .. (is_prefix and sub(name, 1, length) .. '\255' or name .. '!'))
return call('EXISTS', root .. 'bounds') == 1 and 2 or 1
