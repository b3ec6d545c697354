-- Looks for queues with ended jobs that nobody has noted to be pruned: those of the previous release. A piece at a time.
--
-- ARGV[2]  the cursor: '0' at the beginning
-- ARGV[3]  how long after the end the next survey is due
-- Returns  the next cursor, which is '0' at the end

-- The previous release does not note which queues have a count either.
if ARGV[2] == '0' then
  local configs = call('HGETALL', root .. 'queues')
  for i = 1, #configs, 2 do
    if find(configs[i + 1], '"count":%d') then write_now('SADD', root .. 'capped', configs[i]) end
  end
end

local page = call('HSCAN', root .. 'counts', ARGV[2], 'COUNT', 500)
local places = {}
for i = 1, #page[2], 2 do
  local state = tonumber(string.match(page[2][i], '|(%d)$'))
  if state and state >= COMPLETED then
    places[#places + 1] = digits(now)
    places[#places + 1] = page[2][i]
  end
end
for from = 1, #places, ARGUMENTS do
  write_now('ZADD', root .. 'prune', 'NX', unpack(places, from, min(from + ARGUMENTS - 1, #places)))
end
if page[1] == '0' then write_now('ZADD', root .. 'prune', digits(now + tonumber(ARGV[3])), '*') end
return page[1]
