#!lua flags=
-- The `enqueue` of the previous release, as it told it to the server. To be replaced by that of a later one, never changed.
local call, format, find, sub = redis.call, string.format, string.find, string.sub
local struct_pack, struct_unpack, max = struct.pack, struct.unpack, math.max
local root = KEYS[1]
local CHANGING = '>Bi8I4I4I4i8i8i8i8i8I4I4i8BI4BBBI2c0I4c0I2c0'
local COUNTS = '>I4I4I4I4'
local FIXED_FORMAT = '>i8i8I4i4I4i8I2c0I2c0I2c0I2c0I2c0'
local LISTED = {
  [0] = root .. 'state|0',
  [1] = root .. 'state|1',
  [5] = root .. 'state|5',
  [6] = root .. 'state|6',
}
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now = clock()
local jobs, packed = {}, {}
local members = {}
local changed, values, added, taken, counts, doomed = {}, {}, {}, {}, {}, {}
local created = {}
local lanes = {}
local topics, is_watched = {}, call('EXISTS', root .. 'watched') == 1
local last
local function digits(number)
  return format('%d', number)
end
local function pack(job)
  local worker, output, children = job[19], job[20], job[21]
  return struct_pack(CHANGING, job[1], job[2], job[3], job[4], job[5], job[6],
    job[7], job[8], job[9], job[10], job[11], job[12], job[13],
    job[14], job[15], job[16], job[17], job[18],
    #worker, worker, #output, output, #children, children) .. job[22]
end
local function unpack_job(fields)
  local job = { struct_unpack(CHANGING, fields) }
  job[22] = sub(fields, job[22])
  return job
end
local function know(job)
  if not job[23] then
    local parent
    job[23], job[24], job[25], job[26], job[27], job[28], job[29], job[30],
      job[31], job[32], parent = struct_unpack(FIXED_FORMAT, job[22])
    if parent ~= '' then job[33] = parent end
  end
  return job
end
local function call_with(command, key, arguments)
  for from = 1, #arguments, 4000 do
    local to = math.min(from + 4000 - 1, #arguments)
    if key then
      call(command, key, unpack(arguments, from, to))
    else
      call(command, unpack(arguments, from, to))
    end
  end
end
local function read_all(kind, ids)
  local found, prefix = {}, root .. kind
  for from = 1, #ids, 4000 do
    local keys = {}
    for i = from, math.min(from + 4000 - 1, #ids) do
      keys[#keys + 1] = prefix .. ids[i]
    end
    local values = call('MGET', unpack(keys))
    if #ids <= 4000 then return values end
    for i, value in ipairs(values) do
      found[from + i - 1] = value
    end
  end
  return found
end
local function read_jobs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if jobs[id] == nil then
      jobs[id] = false
      missing[#missing + 1] = id
    end
  end
  for i, fields in ipairs(read_all('m:', missing)) do
    if fields then
      packed[missing[i]] = fields
      jobs[missing[i]] = unpack_job(fields)
    end
  end
end
local function job_of(id)
  if jobs[id] == nil then read_jobs({ id }) end
  return jobs[id]
end
local function draw()
  last = last or tonumber(call('GET', root .. 'last') or 0)
  last = max(last + 1, now * 1024)
  return last
end
local function new_member(seq, id, queue)
  return format('%016d', seq) .. id .. '|' .. queue
end
local function member_of(id, job)
  local member = members[id]
  if not member then
    know(job)
    member = new_member(job[23], id, job[29])
    members[id] = member
  end
  return member
end
local function queue_of(member)
  return sub(member, find(member, '|', 17, true) + 1)
end
local function id_of(member)
  return sub(member, 17, find(member, '|', 17, true) - 1)
end
local function list_of(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end
local scores = {}
local function put(key, score, member)
  local text = scores[score]
  if not text then
    text = digits(score)
    scores[score] = text
  end
  local list = list_of(added, key)
  local n = #list
  list[n + 1], list[n + 2] = text, member
end
local function take_out(key, member)
  local put_before = added[key]
  if put_before then
    for n = #put_before, 2, -2 do
      if put_before[n] == member then
        table.remove(put_before, n)
        table.remove(put_before, n - 1)
      end
    end
    if #put_before == 0 then added[key] = nil end
  end
  local list = list_of(taken, key)
  list[#list + 1] = member
end
local function count(queue, state, difference)
  local states = counts[queue]
  if not states then
    states = {}
    counts[queue] = states
  end
  states[state] = (states[state] or 0) + difference
end
local function lane_of(queue, kind, version)
  local lane = kind .. '|' .. version
  local key = root .. 'lane|' .. queue .. '|' .. lane
  lanes[key] = lanes[key] or { queue, lane }
  return key
end
local ended = {}
local function ended_of(queue, state)
  local states = ended[queue]
  if not states then
    states = {}
    ended[queue] = states
  end
  states[state] = states[state] or root .. 'ended|' .. queue .. '|' .. state
  return states[state]
end
local running_key, scheduled_key, stopping_key = root .. 'running', root .. 'scheduled', root .. 'stopping'
local function place_of(job)
  local state = know(job)[1]
  if state == 2 then
    return lane_of(job[29], job[30], job[25]), job[2] - job[26] * 60000
  elseif state == 3 then
    return running_key, job[9]
  elseif state == 1 then
    return scheduled_key, job[2]
  elseif state >= 4 then
    local kept_from = job[8]
    if state == 4 and job[28] >= 0 then kept_from = kept_from + job[28] end
    return ended_of(job[29], state), kept_from
  end
end
local function touch(id)
  changed[id] = true
  if is_watched then topics['j' .. id] = true end
end
local function leave(id, job)
  local state, member, place = job[1], member_of(id, job), place_of(job)
  if place then take_out(place, member) end
  if LISTED[state] then take_out(LISTED[state], id) end
  if state == 3 and job[10] ~= 0 then take_out(stopping_key, member) end
  count(job[29], state, -1)
end
local function settle(id, job)
  local place, score = place_of(job)
  local state, member = job[1], member_of(id, job)
  if place then put(place, score, member) end
  if LISTED[state] then put(LISTED[state], job[23], id) end
  if state == 3 and job[10] ~= 0 then put(stopping_key, job[10], member) end
  if is_watched and (state == 2 or state == 1) then topics['q' .. job[29]] = true end
  count(job[29], state, 1)
  touch(id)
end
local function enter(job, state)
  job[11] = job[11] + (state == 4 and 2 or 1)
  job[12] = job[11]
  job[13] = now
  job[1] = state
  job[10] = 0
  if state >= 4 then job[8] = now end
end
local function wait_until(job, run_at)
  job[2] = max(run_at, now)
  enter(job, run_at > now and 1 or 2)
end
local function write_places()
  for key, list in pairs(taken) do
    call_with('ZREM', key, list)
    local lane = lanes[key]
    if lane and not added[key] and call('EXISTS', key) == 0 then
      call('SREM', root .. 'lanes|' .. lane[1], lane[2])
    end
  end
  for key, list in pairs(added) do
    call_with('ZADD', key, list)
    local lane = lanes[key]
    if lane then call('SADD', root .. 'lanes|' .. lane[1], lane[2]) end
  end
  taken, added = {}, {}
end
local function write_counts()
  for queue, states in pairs(counts) do
    for state, difference in pairs(states) do
      local field = queue .. '|' .. state
      if difference ~= 0 and call('HINCRBY', root .. 'counts', field, difference) <= 0 then
        call('HDEL', root .. 'counts', field)
      end
    end
  end
  counts = {}
end
local function flush()
  local prefix, n = root .. 'm:', #values
  for id in pairs(changed) do
    local fields = pack(jobs[id])
    packed[id] = fields
    values[n + 1], values[n + 2] = prefix .. id, fields
    n = n + 2
  end
  call_with('MSET', nil, values)
  changed, values = {}, {}
  write_places()
  write_counts()
  call_with('UNLINK', nil, doomed)
  doomed = {}
  if last then call('SET', root .. 'last', digits(last)) end
end
local function publish()
  local said, heard = {}, {}
  for topic in pairs(topics) do
    said[#said + 1] = topic
  end
  for from = 1, #said, 4000 do
    local to = math.min(from + 4000 - 1, #said)
    for i, waits in ipairs(call('SMISMEMBER', root .. 'watched', unpack(said, from, to))) do
      if waits == 1 then heard[#heard + 1] = said[from + i - 1] end
    end
  end
  if #heard > 0 then
    call_with('SREM', root .. 'watched', heard)
    call('PUBLISH', root .. 'news', table.concat(heard, '\n'))
  end
end
local function done()
  flush()
  if is_watched then publish() end
end
local function holder_of(key)
  local hold = call('HGET', root .. 'unique', key)
  if not hold then return false end
  local bar = find(hold, '|', 1, true)
  local expires_at, id = tonumber(sub(hold, 1, bar - 1)), sub(hold, bar + 1)
  if expires_at ~= 0 and expires_at <= now then return false end
  return (created[id] or job_of(id)) and id
end
local function hold(key, id, expires_at)
  call('HSET', root .. 'unique', key, digits(expires_at) .. '|' .. id)
  if expires_at > 0 then call('ZADD', root .. 'forget', expires_at, 'u' .. key) end
end
local function free_key(id, job)
  if know(job)[31] == '' then return end
  local held = call('HGET', root .. 'unique', job[31])
  if held and sub(held, find(held, '|', 1, true) + 1) == id then
    call('HDEL', root .. 'unique', job[31])
  end
end
local function let_go(id, job)
  if know(job)[31] == '' then return end
  if job[1] == 4 and job[28] >= 0 then
    hold(job[31], id, now + job[28])
  else
    free_key(id, job)
  end
end
local function tell(id, job)
  job[11] = job[11] + 1
  job[12] = job[11]
  job[13] = now
  touch(id)
end
local function open_batch(id)
  local job = job_of(id)
  return job and job[1] == 0 and job[21] ~= '' and job
end
local function count_children(job, which, difference)
  local children = { struct.unpack(COUNTS, job[21]) }
  children[which] = children[which] + difference
  job[21] = struct.pack(COUNTS, unpack(children, 1, 4))
  return children[1] - children[2] - children[3] - children[4]
end
local function count_of(state)
  return state - 4 + 2
end
local function parent_of(job)
  if know(job)[24] == 0 then return false end
  local parent = open_batch(job[33])
  return parent and know(parent)[23] == job[24] and parent
end
local ended_children = {}
local function ends(id, job)
  let_go(id, job)
  if know(job)[24] ~= 0 then ended_children[#ended_children + 1] = job end
end
local function count_ended()
  if #ended_children == 0 then return end
  for _, child in ipairs(ended_children) do
    local parent = parent_of(child)
    if parent then
      local id = child[33]
      if count_children(parent, count_of(child[1]), 1) == 0 then
        leave(id, parent)
        wait_until(parent, now)
        settle(id, parent)
      else
        tell(id, parent)
      end
    end
  end
  ended_children = {}
end
local START = '>i8i8i4B'
local NOTHING_YET = string.rep('\0', 3 * 4 + 5 * 8) .. struct.pack('>I4I4', 1, 1)
local NOTHING_KEPT = string.rep('\0', 1 + 4 + 1 + 1 + 1 + 2 + 4)
local NO_CHILDREN, NONE_YET = struct.pack('>I2', 0), struct.pack('>I2', 16) .. string.rep('\0', 16)
local created_at = struct.pack('>i8', now)
local lanes_named = {}
local function keys_of(start)
  return #start > 21 and cmsgpack.unpack(sub(start, 21 + 1))
end
local function lane_named(name)
  local lane = lanes_named[name]
  if not lane then
    local bar = find(name, '|', 1, true)
    local key, queue = root .. 'lane|' .. name, sub(name, 1, bar - 1)
    lanes[key] = { queue, sub(name, bar + 1) }
    lane = { key, queue }
    lanes_named[name] = lane
  end
  return lane
end
local function promised(key)
  local promise = call('HGET', root .. 'promises', key)
  if not promise then return false end
  promise = cmsgpack.unpack(promise)
  return promise[1] > now and promise
end
local function promise(keys, id)
  local expires_at = now + keys[3]
  call('HSET', root .. 'promises', keys[1], cmsgpack.pack({ expires_at, keys[2], id }))
  call('ZADD', root .. 'forget', expires_at, 'i' .. keys[1])
end
local function is_reused(keys, first)
  if not keys or not keys[1] then return false end
  local key = keys[1]
  if not first[key] then
    local earlier = promised(key)
    first[key] = earlier and earlier[2] or keys[2]
  end
  return first[key] ~= keys[2]
end
local function stands_for(id, keys)
  if created[id] or job_of(id) then return id end
  local unique = keys and keys[4]
  if not unique then return false end
  local holder = holder_of(unique)
  if holder and keys[5] and not created[holder] and job_of(holder)[1] >= 4 then holder = false end
  if not holder then hold(unique, id, 0) end
  return holder
end
local waiting = {}
local function join(id, seq, parent)
  put(root .. 'of|' .. parent, seq, id)
  local batch = open_batch(parent)
  if not batch then return 0 end
  count_children(batch, 1, 1)
  tell(parent, batch)
  return know(batch)[23]
end
local function insert(id, lane_name, start, fixed, data, parent)
  local delay, at, priority, flags = struct_unpack(START, start)
  local lane = lane_named(lane_name)
  local key, queue = lane[1], lane[2]
  local run_at, seq, waits = max(now + delay, at), draw(), flags >= 2
  local state = waits and 0 or run_at > now and 1 or 2
  local batch = parent and join(id, seq, parent) or 0
  local fields = struct_pack('>Bi8', state, run_at) .. NOTHING_YET .. created_at .. NOTHING_KEPT
    .. (waits and NONE_YET or NO_CHILDREN) .. struct_pack('>i8i8', seq, batch) .. fixed .. created_at
  local n = #values
  values[n + 1], values[n + 2] = root .. 'd:' .. id, data
  put(root .. 'all', seq, id)
  if flags % 2 == 1 then take_out(root .. 'gone', id) end
  if waits then
    jobs[id] = unpack_job(fields)
    waiting[#waiting + 1] = id
    return
  end
  local member = new_member(seq, id, queue)
  if state == 2 then
    put(key, run_at - priority * 60000, member)
  else
    put(scheduled_key, run_at, member)
    put(LISTED[state], seq, id)
  end
  count(queue, state, 1)
  values[n + 3], values[n + 4] = root .. 'm:' .. id, fields
  created[id], jobs[id] = true, nil
  if is_watched then topics['q' .. queue] = true end
end
local function place_waiting()
  if #waiting == 0 then return end
  for _, id in ipairs(waiting) do
    local job = jobs[id]
    if count_children(job, 1, 0) == 0 then wait_until(job, now) end
    settle(id, job)
  end
  waiting = {}
end
local function create(id, lane, start, fixed, data)
  local keys = keys_of(start)
  local earlier = keys and keys[1] and promised(keys[1])
  if earlier then return earlier[3] end
  local other = stands_for(id, keys)
  if not other then insert(id, lane, start, fixed, data, keys and keys[6]) end
  if keys and keys[1] then promise(keys, other or id) end
  return other
end
local answers = {}
local function for_each_caller(action)
  local at = 2
  while at <= #ARGV do
    local many = tonumber(ARGV[at])
    action(at + 1, many)
    at = at + 1 + 5 * many
  end
end
local ids = {}
for_each_caller(function(from, many)
  for i = from, from + 5 * (many - 1), 5 do
    if string.byte(ARGV[i + 2], 21) % 2 == 1 then
      ids[#ids + 1] = ARGV[i]
    else
      jobs[ARGV[i]] = false
    end
  end
end)
read_jobs(ids)
local function refused(from, many)
  local first, reused, any = {}, {}, false
  for i = 1, many do
    reused[i] = is_reused(keys_of(ARGV[from + 5 * (i - 1) + 2]), first)
    any = any or reused[i]
  end
  if not any then return false end
  for i = 1, many do
    answers[#answers + 1] = reused[i] and 1 or 2
  end
  return true
end
for_each_caller(function(from, many)
  if refused(from, many) then return end
  for i = from, from + 5 * (many - 1), 5 do
    answers[#answers + 1] = create(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) or 0
  end
  place_waiting()
end)
done()
return answers
