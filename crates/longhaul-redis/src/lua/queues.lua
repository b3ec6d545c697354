-- Reads how many jobs of each queue are in which state, the queues' configurations, which are paused, and what is taken of their limits.
--
-- Returns  two lists of fields and values: 'queue|state' and a number; a queue and its configuration in JSON; a list of the paused queues;
--          a list of the queues with limits and of what is taken of these in turn, as `limits.lua` keeps it; and the time

local taken = {}
for _, queue in ipairs(call('SMEMBERS', root .. 'limited')) do
  taken[#taken + 1] = queue
  taken[#taken + 1] = call('HGET', root .. 'limits', '=' .. queue) or '0|0|'
end
return {
  call('HGETALL', root .. 'counts'), call('HGETALL', root .. 'queues'), call('SMEMBERS', root .. 'paused_queues'), taken, now,
}
