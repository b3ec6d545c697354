-- Reads which ended jobs may be removed by now. Every ten minutes somebody looks at all queues (`survey`), because the previous
-- release does not note what is to be pruned.
--
-- ARGV[2]  the most places to answer
-- Returns  1 where a survey is due, and then for each place its queue, its state, and the queue's configuration in JSON or
--          false

local survey = call('ZSCORE', root .. 'prune', '*')
local answer = { (not survey or tonumber(survey) <= now) and 1 or 0 }
for _, place in ipairs(call('ZRANGEBYSCORE', root .. 'prune', '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local queue, state = string.match(place, '^(.*)|(%d)$')
  if queue then
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = queue, state, call('HGET', root .. 'queues', queue)
  end
end
return answer
