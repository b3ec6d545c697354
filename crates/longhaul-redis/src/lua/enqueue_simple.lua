-- Creates simple jobs: their ids were drawn just now, and they have no keys, no parent and no children to wait for, so that
-- nothing needs to be looked up. Most jobs are such. It stands by itself, and writes what `insert` in `creating.lua` writes,
-- because making the functions that all other scripts share takes the server longer than creating a job.
--
-- ARGV[2..]  new jobs: see `new.lua`
-- Returns    the answer of `created_in` for each

local NEW_JOB = 5

-- Numbers are drawn as `draw` in `store.lua` does, all at once: in most calls the time is beyond the last one drawn.
local many = (#ARGV - 1) / NEW_JOB
local last = now * 1024 - 1
local drawn = tonumber(call('SET', root .. 'last', format('%d', last + many), 'GET') or 0) or 0
if drawn > last then
  last = drawn
  write_now('SET', root .. 'last', format('%d', last + many))
end
-- Keys and values in turn; scores and members in turn. Their lengths are counted along, for `#` has to search for them.
local values, all, scheduled, listed, answers = {}, {}, {}, {}, {}
local created, waiting, created_at = 0, 0, created_in(0)
-- Name of a claim source -> {queue, the rest of the name, its available jobs by rank, how many these are}; queue -> how many wait.
local sources, later = {}, {}
local data_of, fields_of = root .. 'd:', root .. 'm:'
local score, score_text
-- A local variable is found sooner than a function of the server's.
local read_start, text_of, later_of, sooner_of, end_of_time = struct_unpack, format, max, min, max(now, END_OF_TIME)

for i = 2, #ARGV, NEW_JOB do
  local id, name, fixed = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local delay, at, priority = read_start(START, ARGV[i + 2])
  local run_at = sooner_of(later_of(now + delay, at), end_of_time)
  local state = run_at > now and SCHEDULED or AVAILABLE
  local source = sources[name]
  if not source then
    local bar = find(name, '|', 1, true)
    source = { sub(name, 1, bar - 1), sub(name, bar + 1), {}, 0 }
    sources[name] = source
  end
  local queue = source[1]
  last = last + 1
  local seq = text_of('%016d', last)
  local member = seq .. id .. '|' .. queue
  local v, a = 4 * created, 2 * created
  values[v + 1], values[v + 2] = data_of .. id, ARGV[i + 4]
  values[v + 3], values[v + 4] = fields_of .. id, new_fields(state, run_at, NO_CHILDREN, last, 0, fixed)
  all[a + 1], all[a + 2] = seq, id
  created = created + 1
  answers[created] = created_at - state
  if state == AVAILABLE then
    local rank, members, m = run_at - priority * PRIORITY_STEP, source[3], 2 * source[4]
    if rank ~= score then score, score_text = rank, text_of('%d', rank) end
    members[m + 1], members[m + 2] = score_text, member
    source[4] = source[4] + 1
  else
    local w = 2 * waiting
    scheduled[w + 1], scheduled[w + 2] = format('%d', run_at), member
    listed[w + 1], listed[w + 2] = seq, id
    waiting = waiting + 1
    later[queue] = (later[queue] or 0) + 1
  end
end

write_all('MSET', nil, values)
write_all('ZADD', root .. 'all', all)
write_all('ZADD', root .. 'scheduled', scheduled)
write_all('ZADD', root .. 'state|' .. SCHEDULED, listed)
for name, source in pairs(sources) do
  if source[4] > 0 then
    write_all('ZADD', root .. 'lane|' .. name, source[3])
    write_now('SADD', root .. 'lanes|' .. source[1], source[2])
    write_now('HINCRBY', root .. 'counts', source[1] .. '|' .. AVAILABLE, source[4])
  end
end
for queue, many in pairs(later) do
  write_now('HINCRBY', root .. 'counts', queue .. '|' .. SCHEDULED, many)
end

-- Tells those who wait for jobs of a queue, or for the next one that is due. Who was told must ask again.
if call('EXISTS', root .. 'watched') == 1 then
  local heard = {}
  for _, source in pairs(sources) do
    local topic = 'q' .. source[1]
    if call('SREM', root .. 'watched', topic) == 1 then heard[#heard + 1] = topic end
  end
  if #heard > 0 then write_now('PUBLISH', root .. 'news', table.concat(heard, '\n')) end
end
return answers
