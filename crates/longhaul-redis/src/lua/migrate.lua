-- Notes the version of what is kept here, where nothing is noted yet or an older one.
--
-- ARGV[2]  the version that the caller writes
-- Returns  the version that is noted

local ours = tonumber(ARGV[2])
local found = tonumber(call('GET', root .. 'schema') or 0)
if found < ours then
  call('SET', root .. 'schema', ours)
  found = ours
end
return found
