-- Notes the version of what is kept here, where nothing is noted yet or an older one.
--
-- ARGV[2]  the version that the caller writes
-- Returns  the version that is noted

-- A long member, which nothing ever takes for a job, keeps the server from storing the running jobs as a plain list, as it
-- does with small sets: it would read half of that list for each claim and each finish.
call('ZADD', running_key, '+inf', string.rep('~', 65))

local ours = tonumber(ARGV[2])
local found = tonumber(call('GET', root .. 'schema') or 0)
if found < ours then
  call('SET', root .. 'schema', ours)
  found = ours
end
return found
