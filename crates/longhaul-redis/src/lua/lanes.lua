-- Reads the claim sources that are not empty.
--
-- ARGV[2]  how many at most: beyond that, whole queues are left out
-- ARGV[3]  how far the jobs of each are counted
-- Returns  for each its queue, 'kind|version', how many jobs it has, and when the one fell due that is claimed first

local limit, furthest = tonumber(ARGV[2]), tonumber(ARGV[3])
local queues, answer, n = {}, {}, 0
for _, place in ipairs(call('HKEYS', root .. 'counts')) do
  local queue, state = string.match(place, '^(.*)|(%d)$')
  if tonumber(state) == AVAILABLE then queues[#queues + 1] = queue end
end
table.sort(queues)
for _, queue in ipairs(queues) do
  if n >= 4 * limit then break end
  for _, name in ipairs(call('SMEMBERS', root .. 'lanes|' .. queue)) do
    local key = root .. 'lane|' .. queue .. '|' .. name
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    -- The first with limit keys, whose ranks are shifted, may go before the first without.
    local keyed = first[1] and call('ZRANGEBYSCORE', key, KEYED, '+inf', 'WITHSCORES', 'LIMIT', 0, 1) or {}
    if keyed[1] then
      local rank, plain_rank = tonumber(keyed[2]) - KEYED, tonumber(first[2])
      if plain_rank > rank or plain_rank == rank and keyed[1] < first[1] then first = { keyed[1], rank } end
    end
    if first[1] then
      local is_ours, job = pcall(job_of, id_of(first[1]))
      answer[n + 1], answer[n + 2], answer[n + 3] = queue, name, min(call('ZCARD', key), furthest)
      -- Of a job whose record is lost the rank is left, which is its time where it has no priority.
      answer[n + 4] = is_ours and job and job[RUN_AT] or tonumber(first[2])
      n = n + 4
    end
  end
end
return answer
