-- Looks jobs up.
--
-- ARGV[2]    the furthest that a position is counted
-- ARGV[3..]  ids
-- Returns    for each 0 where nothing is known of it, 1 where it is gone, or the answer of `shown`, its position or -1, and the job that holds
--            its unique key or false

local furthest = tonumber(ARGV[2])

-- Counts the jobs of a claim source that go before a job: those of a lower rank, and of those of the same rank the older
-- ones. Those with limit keys have ranks that are shifted.
local function ahead(key, rank, member, own, shift)
  local lower = 0
  for _, base in ipairs({ 0, KEYED }) do
    local from = base == 0 and '-inf' or digits(base)
    if key == own and base == shift then
      lower = lower + (call('ZRANK', key, member) or 0) - (base == 0 and 0 or call('ZCOUNT', key, '-inf', PLAIN))
    else
      local same = digits(base + rank)
      lower = lower + call('ZCOUNT', key, from, '(' .. same)
      for _, other in ipairs(call('ZRANGEBYSCORE', key, same, same, 'LIMIT', 0, furthest)) do
        if other > member then break end
        lower = lower + 1
      end
    end
  end
  return lower
end

local function position(id, job)
  if job[STATE] ~= AVAILABLE then return -1 end
  local own, score = place_of(job)
  local shift = score < KEYED and 0 or KEYED
  local place = 1
  for _, source in ipairs(call('SMEMBERS', root .. 'lanes|' .. job[QUEUE])) do
    place = place + ahead(root .. 'lane|' .. job[QUEUE] .. '|' .. source, score - shift, member_of(id, job), own, shift)
    if place >= furthest then return furthest end
  end
  return place
end

local function is_gone(id)
  local known_until = call('ZSCORE', root .. 'gone', id)
  return known_until and tonumber(known_until) > now
end

local ids, answers = {}, {}
for i = 3, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
read_jobs(ids)
for i, id in ipairs(ids) do
  local job = job_of(id) and shown(id, packed[id], false, data_of(id, false))
  if job then
    job[8] = position(id, jobs[id])
    job[9] = jobs[id][UNIQUE] ~= '' and holder_of(jobs[id][UNIQUE])
    answers[i] = job
  else
    answers[i] = is_gone(id) and 1 or 0
  end
end
return answers
