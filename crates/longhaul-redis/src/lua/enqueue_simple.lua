-- Creates simple jobs: their ids were drawn just now, and they have no keys, no parent and no children to wait for, so that
-- nothing needs to be looked up. Most jobs are such. It stands by itself, and writes what `insert` in `creating.lua` writes,
-- because making the functions that all other scripts share takes the server longer than creating a job. Where `groups` is false, no
-- job has limit keys or costs more than one of each.
--
-- ARGV[2..]  new jobs: see `new.lua`
-- Returns    the answer of `created_in` for each; or where a bound of what waits concerns one of these, nothing is created, and the
--            answer is 0 for those that it concerns and 1 for the others; or where `groups` is false and needed all the same, nothing
--            is created either, and the answer is 2 for each

local NEW_JOB = 5

local is_heard = call('EXISTS', root .. 'watched', root .. 'fair', root .. 'bounds') > 0
if is_heard and not groups and call('EXISTS', root .. 'fair', root .. 'bounds') > 0 then
  local answers = {}
  for i = 2, #ARGV, NEW_JOB do
    answers[#answers + 1] = 2
  end
  return answers
elseif is_heard and groups and call('EXISTS', root .. 'bounds') == 1 then
  local answers, any = {}, false
  for i = 2, #ARGV, NEW_JOB do
    local _, queue, keys = read_source(ARGV[i + 1])
    local is_bounded = #keyed.bounds().names_of(queue, keys) > 0
    any = any or is_bounded
    answers[#answers + 1] = is_bounded and 0 or 1
  end
  if any then return answers end
end

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
-- Lane -> {queue, the rest of its name, its available jobs by rank, how many these are, true where one has no limit keys}; name of a
-- claim source, where there are groups -> its lane, the limit keys and stored cost of its jobs, where there are any, and the lane's
-- name; queue -> how many wait.
local lanes, sources, later = {}, groups and {}, {}
local data_of, fields_of = root .. 'd:', root .. 'm:'
local score, score_text
-- A local variable is found sooner than a function of the server's.
local read_start, text_of, later_of, sooner_of, end_of_time = struct_unpack, format, max, min, max(now, END_OF_TIME)

for i = 2, #ARGV, NEW_JOB do
  local id, name, fixed = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local delay, at, priority = read_start(START, ARGV[i + 2])
  local run_at = sooner_of(later_of(now + delay, at), end_of_time)
  local state = run_at > now and SCHEDULED or AVAILABLE
  local lane, source = lanes[name], false
  if not lane and not groups then
    local bar = find(name, '|', 1, true)
    lane = { sub(name, 1, bar - 1), sub(name, bar + 1), {}, 0, true }
    lanes[name] = lane
  elseif not lane then
    source = sources[name]
    if not source then
      local lane_name, queue, keys, cost = read_source(name)
      lane = lanes[lane_name] or { queue, sub(lane_name, #queue + 2), {}, 0, false }
      lanes[lane_name] = lane
      source = { lane, keys ~= '' and keys, cost ~= '' and cost, lane_name }
      sources[name] = source
    end
    lane = source[1]
  end
  local queue = lane[1]
  last = last + 1
  local seq = text_of('%016d', last)
  local member = seq .. id .. '|' .. queue
  local v, a = 4 * created, 2 * created
  values[v + 1], values[v + 2] = data_of .. id, ARGV[i + 4]
  values[v + 3], values[v + 4] = fields_of .. id, new_fields(state, run_at, NO_CHILDREN, last, 0, fixed)
  if source and source[3] then values[v + 4] = values[v + 4] .. source[3] end
  all[a + 1], all[a + 2] = seq, id
  created = created + 1
  answers[created] = created_at - state
  if state == AVAILABLE then
    local rank, members, m = run_at - priority * PRIORITY_STEP, lane[3], 2 * lane[4]
    if source and source[2] then
      groups().add(source[4], source[2], rank, member)
      rank = rank + KEYED
    else
      lane[5] = true
    end
    if rank ~= score then score, score_text = rank, text_of('%d', rank) end
    members[m + 1], members[m + 2] = score_text, member
    lane[4] = lane[4] + 1
  else
    local w = 2 * waiting
    scheduled[w + 1], scheduled[w + 2] = format('%d', run_at), member
    listed[w + 1], listed[w + 2] = seq, id
    waiting = waiting + 1
    later[queue] = (later[queue] or 0) + 1
  end
end

if is_heard and call('EXISTS', root .. 'fair') == 1 then
  for _, lane in pairs(lanes) do
    if lane[5] then groups().arrive_plain(lane[1]) end
  end
end
write_all('MSET', nil, values)
write_all('ZADD', root .. 'all', all)
write_all('ZADD', root .. 'scheduled', scheduled)
write_all('ZADD', root .. 'state|' .. SCHEDULED, listed)
for name, lane in pairs(lanes) do
  if lane[4] > 0 then
    write_all('ZADD', root .. 'lane|' .. name, lane[3])
    write_now('SADD', root .. 'lanes|' .. lane[1], lane[2])
    write_now('HINCRBY', root .. 'counts', lane[1] .. '|' .. AVAILABLE, lane[4])
  end
end
for queue, many in pairs(later) do
  write_now('HINCRBY', root .. 'counts', queue .. '|' .. SCHEDULED, many)
end

-- Tells those who wait for jobs of a queue, or for the next one that is due. Who was told must ask again.
if made_groups then groups().settle({}) end
if is_heard and call('EXISTS', root .. 'watched') == 1 then
  local heard, topics = {}, made_groups and groups().woken or {}
  for _, lane in pairs(lanes) do
    topics['q' .. lane[1]] = true
  end
  for topic in pairs(topics) do
    if call('SREM', root .. 'watched', topic) == 1 then heard[#heard + 1] = topic end
  end
  if #heard > 0 then write_now('PUBLISH', root .. 'news', table.concat(heard, '\n')) end
end
return answers
