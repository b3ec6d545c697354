-- Creates simple jobs: their ids were drawn just now, and they have no keys, no parent and no children to wait for, so that
-- nothing needs to be looked up. Most jobs are such. It stands by itself, and writes what `insert` in `creating.lua` writes,
-- because making the functions that all other scripts share takes the server longer than creating a job. Where `groups` is false, no
-- job has limit keys or costs more than one of each.
--
-- ARGV[2..]  for each row of jobs that differ in nothing but their ids and data: a header, packed as `HEADER` says, and the id and the
--            data of each
-- Returns    the answer of `created_in` for each; or where a bound of what waits concerns one of these, nothing is created, and the
--            answer is 0 for those that it concerns and 1 for the others; or where `groups` is false and needed all the same, nothing
--            is created either, and the answer is 2 for each

-- A row: the number of its jobs; their delay, a time before which they must not run, and their priority; the slots and units of a rate
-- that each costs; their queue, their lane as 'queue|kind|version', their limit keys or '', and the fields that do not change.
local HEADER, MANY = '>I4i8i8i4I4I4I4c0I4c0I4c0I4c0', '>I4'
-- The fields before the seq of a new job and behind it: see `CHANGING` in `layout.lua`. It has no attempts, no times, and two events'
-- numbers of 1; no log, steps, errors, progress, worker, output nor children; and no parent that counts it.
local BEFORE_SEQ, BEHIND_SEQ = '>Bi8c0I4I4i8c0', '>i8c0i8'
local NEVER = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local NOTHING_YET = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

-- A local variable is found sooner than a function of the server's.
local arguments, size = ARGV, #ARGV
local is_heard = call('EXISTS', root .. 'watched', root .. 'fair', root .. 'bounds') > 0
if is_heard and call('EXISTS', root .. 'fair', root .. 'bounds') > 0 then
  local answers, any, at = {}, not groups, 2
  while at <= size do
    local many, _, _, _, _, _, queue, _, keys = struct_unpack(HEADER, arguments[at])
    local answer = 2
    if groups then
      answer = #keyed.bounds().names_of(queue, keys) > 0 and 0 or 1
      any = any or answer == 0
    end
    for _ = 1, many do
      answers[#answers + 1] = answer
    end
    at = at + 1 + 2 * many
  end
  if any then return answers end
end

-- Numbers are drawn as `draw` in `store.lua` does, all at once: in most calls the time is beyond the last one drawn.
local jobs_in_all, at = 0, 2
while at <= size do
  local many = struct_unpack(MANY, arguments[at])
  jobs_in_all, at = jobs_in_all + many, at + 1 + 2 * many
end
local last = now * 1024 - 1
local drawn = call('SET', root .. 'last', format('%d', last + jobs_in_all), 'GET')
if drawn and tonumber(drawn) > last then
  last = tonumber(drawn)
  write_now('SET', root .. 'last', format('%d', last + jobs_in_all))
end
-- Keys and values in turn; scores and members in turn. Their lengths are counted along, for `#` has to search for them.
local values, all, scheduled, listed, answers = {}, {}, {}, {}, {}
local created, waiting = 0, 0
-- Lane -> {queue, the rest of its name, its available jobs by rank, how many these are, true where one has no limit keys}; queue -> how
-- many wait.
local lanes, later = {}, {}
local pack_seq, text_of = struct_pack, format
-- The values of the last header, and the values derived from it, as far as they are not the same as before.
local known, many, lane_name, queue, lane, keys, state, run_at, rank, score, answer, before, behind, member_end
local known_lane, known_score, made

at = 2
while at <= size do
  local header = arguments[at]
  if header ~= known then
    local delay, from, priority, slots, units, fixed
    known = header
    many, delay, from, priority, slots, units, queue, lane_name, keys, fixed = struct_unpack(HEADER, header)
    local starts_at = min(max(now + delay, from), max(now, END_OF_TIME))
    if starts_at ~= run_at then
      run_at, state = starts_at, starts_at > now and SCHEDULED or AVAILABLE
      answer, before = created_in(state), pack_seq(BEFORE_SEQ, state, run_at, NEVER, 1, 1, now, NOTHING_YET)
    end
    rank = run_at - priority * PRIORITY_STEP
    local stored_rank = keys == '' and rank or rank + KEYED
    if stored_rank ~= known_score then
      known_score, score = stored_rank, text_of('%d', stored_rank)
    end
    if lane_name ~= known_lane then
      lane = lanes[lane_name]
      if not lane then
        lane = { queue, sub(lane_name, #queue + 2), {}, 0, false }
        lanes[lane_name] = lane
      end
      known_lane, member_end = lane_name, '|' .. queue
    end
    behind = pack_seq(BEHIND_SEQ, 0, fixed, now)
    if slots ~= 1 or units ~= 1 then behind = behind .. pack_seq(COST, slots, units) end
    if keys ~= '' then made = groups() end
  end
  for i = at + 1, at + 2 * many, 2 do
    local id = arguments[i]
    last = last + 1
    local seq = text_of('%016d', last)
    local member = seq .. id .. member_end
    local v, a = 4 * created, 2 * created
    values[v + 1], values[v + 2] = root .. 'd:' .. id, arguments[i + 1]
    values[v + 3], values[v + 4] = root .. 'm:' .. id, before .. pack_seq('>i8', last) .. behind
    all[a + 1], all[a + 2] = seq, id
    created = created + 1
    answers[created] = answer
    if state == AVAILABLE then
      local members, m = lane[3], 2 * lane[4]
      if keys == '' then lane[5] = true else made.add(lane_name, keys, rank, member) end
      members[m + 1], members[m + 2] = score, member
      lane[4] = lane[4] + 1
    else
      local w = 2 * waiting
      scheduled[w + 1], scheduled[w + 2] = text_of('%d', run_at), member
      listed[w + 1], listed[w + 2] = seq, id
      waiting = waiting + 1
      later[queue] = (later[queue] or 0) + 1
    end
  end
  at = at + 1 + 2 * many
end

if is_heard and call('EXISTS', root .. 'fair') == 1 then
  for _, lane in pairs(lanes) do
    if lane[5] then groups().arrive_plain(lane[1]) end
  end
end
write_all('MSET', nil, values)
write_all('ZADD', root .. 'all', all)
if waiting > 0 then
  write_all('ZADD', root .. 'scheduled', scheduled)
  write_all('ZADD', root .. 'state|' .. SCHEDULED, listed)
  for queue, many in pairs(later) do
    write_now('HINCRBY', root .. 'counts', queue .. '|' .. SCHEDULED, many)
  end
end
for name, lane in pairs(lanes) do
  if lane[4] > 0 then
    write_all('ZADD', root .. 'lane|' .. name, lane[3])
    write_now('SADD', root .. 'lanes|' .. lane[1], lane[2])
    write_now('HINCRBY', root .. 'counts', lane[1] .. '|' .. AVAILABLE, format('%d', lane[4]))
  end
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
