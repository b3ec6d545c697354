-- Reads jobs, the oldest first, with all that belongs to them.
--
-- ARGV[2]  behind which seq, as ZRANGEBYSCORE is told it
-- ARGV[3]  how many at most
-- ARGV[4]  after how many bytes to end
-- Returns  the seq of the last one that was looked at, or false where there was none; and for each job its id, its fields, its data,
--          its hash beside, its errors, the outputs of its steps, its log, its hold of its unique key (-1: none; 0: as long as it is
--          there), 1 where its parent counts it, the jobs that it depends on as ids and 1 where they were counted, and of its hold
--          the period, until when, the ends, and the job that it follows

local answer, bytes = { false }, 0
local found = call('ZRANGEBYSCORE', root .. 'all', ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local ids = {}
for i = 1, #found, 2 do
  ids[#ids + 1] = found[i]
end
read_jobs(ids)
-- Ends of jobs that dependants are still to count.
local unsettled = {}
for i, entry in ipairs(call('ZRANGE', root .. 'settling', 0, -1)) do
  unsettled[i] = root .. 'settling|' .. string.match(entry, '^%d+')
end

local function is_unsettled(seq, entry)
  local sets = { root .. 'unsettled|' .. seq, unpack(unsettled) }
  for _, key in ipairs(sets) do
    if call('ZSCORE', key, '0' .. entry) or call('ZSCORE', key, '1' .. entry) then return true end
  end
  return false
end

local function dependencies_of(id, job, data)
  if job[DEPENDS] ~= 1 then return {} end
  local list, known, entry = cmsgpack.unpack(data)[DEPENDS_ON], {}, format('%016d', job[SEQ]) .. id
  for n = 1, #list, 2 do
    local other = job_of(list[n])
    if other and call('ZSCORE', root .. 'dependants|' .. digits(other[SEQ]), entry) then
      local is_counted = is_unsettled(digits(other[SEQ]), entry) and 0 or 1
      known[#known + 1], known[#known + 2] = list[n], is_counted
    end
  end
  return known
end

local function hold_now(id, job)
  if job[UNIQUE] == '' then return -1 end
  local expires_at, holder = hold_of(job[UNIQUE])
  if holder ~= id or expires_at ~= 0 and expires_at <= now or expires_at == 0 and job[STATE] >= COMPLETED then return -1 end
  return expires_at < END_OF_TIME and expires_at or 0
end

for i, id in ipairs(ids) do
  answer[1] = found[2 * i]
  local job, data = jobs[id], jobs[id] and call('GET', root .. 'd:' .. id)
  if job and data then
    local parent = job[BATCH] ~= 0 and job[PARENT] and job_of(job[PARENT])
    local log = job[LOG] > 0 and call('XRANGE', root .. 'l:' .. id, '-', '+') or {}
    for _, entry in ipairs(log) do
      bytes = bytes + #(entry[2][6] or '')
    end
    local beside = call('HGETALL', root .. 'x:' .. id)
    for _, value in ipairs(beside) do
      bytes = bytes + #value
    end
    answer[#answer + 1] = {
      id, packed[id], data, beside,
      job[ERRORS] > 0 and call('LRANGE', root .. 'e:' .. id, 0, -1) or {},
      job[STEPS] > 0 and call('HGETALL', root .. 't:' .. id) or {},
      log, hold_now(id, job), parent and parent[SEQ] == job[BATCH] and 1 or 0, dependencies_of(id, job, data),
      job[PERIOD], job[HELD_UNTIL] or 0, job[ENDS] or 0, job[BEHIND] or '',
    }
    bytes = bytes + #data
  end
  if bytes >= tonumber(ARGV[4]) then break end
end
return answer
