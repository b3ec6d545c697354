-- Answers a claim where there is nothing at all to claim: no job waits, or all queues are paused in which one does, or limit keys
-- keep back all that waits. It stands before the functions of the script, because making these takes the server four times as
-- long, and most claims of idle workers find nothing.
--
-- ARGV[2]  the packed claim: see `claim`

local wanted = cmsgpack.unpack(ARGV[2])
local first_due = tonumber(call('ZRANGE', root .. 'scheduled', 0, 0, 'WITHSCORES')[2])
local may_free = call('EXISTS', root .. 'closing', root .. 'waking', root .. 'settling') > 0
local keeps_back = may_free and call('EXISTS', root .. 'closing') == 1
local first_wake = may_free and tonumber(call('ZRANGE', root .. 'waking', 0, 0, 'WITHSCORES')[2])
if first_wake then first_due = min(first_due or first_wake, first_wake) end
local first_open = keeps_back and tonumber(call('ZRANGE', root .. 'opens', 0, 0, 'WITHSCORES')[2])
if first_open then first_due = min(first_due or first_open, first_open) end
local is_idle = (not first_due or first_due > now) and not (may_free and call('EXISTS', root .. 'settling') == 1)

-- True where keys keep back all that waits in a queue. A mark of open groups has no lane.
local function is_kept_back(lanes)
  for _, lane in ipairs(call('SMEMBERS', lanes)) do
    -- One of groups alone has no jobs without keys.
    local is_preferring = find(lane, ';.*|%d+$')
    local first = not is_preferring and call('ZRANGE', root .. 'lane|' .. sub(lanes, #root + 7) .. '|' .. lane, 0, 0, 'WITHSCORES')[2]
    if not is_preferring and (not first or tonumber(first) < KEYED) then return false end
  end
  return true
end

for _, queue in ipairs(wanted[3]) do
  local lanes = root .. 'lanes|' .. queue[1]
  is_idle = is_idle
    and (
      call('EXISTS', lanes) == 0
      or keeps_back and is_kept_back(lanes)
      or call('SISMEMBER', root .. 'paused_queues', queue[1]) == 1
    )
end
if is_idle then
  if wanted[5] then
    for _, queue in ipairs(wanted[3]) do
      write_now('SADD', root .. 'watched', 'q' .. queue[1])
    end
  end
  return { now, first_due or -1, 0, false }
end
