-- Answers a claim where there is nothing at all to claim: no job waits, or all queues are paused in which one does. It stands before the functions of the script, because making these
-- takes the server four times as long, and most claims of idle workers find nothing.
--
-- ARGV[2]  the packed claim: see `claim`

local wanted = cmsgpack.unpack(ARGV[2])
local first_due = tonumber(call('ZRANGE', root .. 'scheduled', 0, 0, 'WITHSCORES')[2])
local is_idle = not first_due or first_due > now
for _, queue in ipairs(wanted[3]) do
  is_idle = is_idle
    and (call('EXISTS', root .. 'lanes|' .. queue[1]) == 0 or call('SISMEMBER', root .. 'paused_queues', queue[1]) == 1)
end
if is_idle then
  if wanted[5] then
    for _, queue in ipairs(wanted[3]) do
      write_now('SADD', root .. 'watched', 'q' .. queue[1])
    end
  end
  return { now, first_due or -1, 0, false }
end
