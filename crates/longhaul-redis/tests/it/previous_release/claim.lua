#!lua flags=allow-oom
-- The `claim` of the previous release, as it told it to the server. To be replaced by that of a later one, never changed.
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
local function keep_error(id, job, error)
  local key = root .. 'e:' .. id
  call('RPUSH', key, '{"attempt":' .. job[3] .. ',"at":' .. digits(now) .. ',' .. error)
  if job[16] >= 20 then
    call('LTRIM', key, -20, -1)
  else
    job[16] = job[16] + 1
  end
end
local function give_attempt_back(job)
  job[3] = math.max(job[3] - 1, 0)
end
local function log(id, job, body)
  job[11] = job[11] + 1
  call('XADD', root .. 'l:' .. id, digits(job[11]) .. '-0', 't', digits(now), 'n', job[3], 'b', body)
end
local function leased(id, token)
  local job = job_of(id)
  return job and job[1] == 3 and job[6] == token and job
end
local function lease_status(job)
  return job[10] ~= 0 and 1 or 0
end
local function add_entries(id, job, entries)
  for _, entry in ipairs(entries) do
    if entry[1] == 's' then
      job[15] = job[15] + call('HSETNX', root .. 't:' .. id, entry[2], entry[3])
    else
      if entry[1] == 'p' then
        call('HSET', root .. 'x:' .. id, 'progress', entry[3])
        job[17] = 1
      end
      log(id, job, entry[2])
      job[14] = 2
    end
  end
end
local function drop(id)
  jobs[id] = false
  changed[id] = nil
  take_out(root .. 'all', id)
  for _, key in pairs(LISTED) do
    take_out(key, id)
  end
  for _, kind in ipairs({ 'm:', 'd:', 'x:', 'e:', 't:', 'l:' }) do
    doomed[#doomed + 1] = root .. kind .. id
  end
  if is_watched then topics['j' .. id] = true end
end
local function bury(key, member, state)
  take_out(key, member)
  if state then count(queue_of(member), state, -1) end
  drop(id_of(member))
end
local function jobs_at(key, found, state, counted)
  local ids, there = {}, {}
  for i, member in ipairs(found) do
    ids[i] = id_of(member)
    members[ids[i]] = member
  end
  read_jobs(ids)
  for i, id in ipairs(ids) do
    local job = jobs[id]
    if not job then
      bury(key, found[i], counted)
    elseif job[1] == state then
      there[#there + 1] = id
    else
      take_out(key, found[i])
    end
  end
  return there
end
local function promote(limit)
  local found = call('ZRANGEBYSCORE', scheduled_key, '-inf', now, 'LIMIT', 0, limit)
  if #found == 0 then return 0 end
  local due = jobs_at(scheduled_key, found, 1, 1)
  for _, id in ipairs(due) do
    local job = jobs[id]
    leave(id, job)
    enter(job, 2)
    settle(id, job)
  end
  return #due
end
local function merge(sources, slots)
  local all, first, many = {}, {}, {}
  for _, key in ipairs(sources) do
    local found = call('ZRANGE', key, 0, slots - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      all[#all + 1] = { found[i], tonumber(found[i + 1]), key }
    end
  end
  table.sort(all, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  for i = 1, math.min(slots, #all) do
    local key = all[i][3]
    first[i], many[key] = all[i][1], (many[key] or 0) + 1
  end
  return first, many
end
local function take_first(queue, slots, kinds)
  local sources, first = {}, nil
  for _, kind in ipairs(kinds) do
    for version = 1, kind[2] do
      local key = lane_of(queue, kind[1], version)
      local found = call('ZRANGE', key, 0, slots - 1)
      if #found > 0 then
        sources[#sources + 1] = key
        first = first or found
      end
    end
  end
  if #sources == 0 then return {} end
  local many = { [sources[1]] = #first }
  if #sources > 1 then first, many = merge(sources, slots) end
  for key, count_of in pairs(many) do
    call('ZREMRANGEBYRANK', key, 0, count_of - 1)
    taken[key] = taken[key] or {}
  end
  return first
end
local function whole(found)
  local ids, keys, there = {}, {}, {}
  for i, member in ipairs(found) do
    local id = id_of(member)
    ids[i], members[id] = id, member
    keys[i], keys[#found + i] = root .. 'm:' .. id, root .. 'd:' .. id
  end
  local read = #keys > 0 and call('MGET', unpack(keys)) or {}
  for i, id in ipairs(ids) do
    local fields, data = read[i], read[#found + i]
    if fields and data then
      local job = jobs[id] or unpack_job(fields)
      if job[1] == 2 then
        jobs[id] = job
        there[#there + 1] = { id, data }
      end
    else
      count(queue_of(found[i]), 2, -1)
      drop(id)
    end
  end
  return there
end
local function has_pauses()
  return call('EXISTS', root .. 'paused') == 1
end
local function pause_of(job)
  if know(job)[32] == '' then return false end
  local ends_at = tonumber(call('ZSCORE', root .. 'paused', job[32]) or 0)
  return ends_at > now and ends_at
end
local function without_paused(there, queue)
  local free = {}
  for _, candidate in ipairs(there) do
    local id = candidate[1]
    local job = jobs[id]
    local ends_at = pause_of(job)
    if ends_at then
      count(queue, 2, -1)
      wait_until(job, ends_at)
      settle(id, job)
    else
      free[#free + 1] = candidate
    end
  end
  return free
end
local function take(there, queue, worker, lease_until)
  local running, prefix = list_of(added, running_key), root .. 'm:'
  local n, v, until_text = #running, #values, digits(lease_until)
  for _, candidate in ipairs(there) do
    local id = candidate[1]
    local job = jobs[id]
    job[6] = draw()
    job[3] = job[3] + 1
    job[19] = worker
    job[7] = now
    job[9] = lease_until
    if job[14] == 2 then
      log(id, job, '"reset"')
      job[14] = 1
    end
    enter(job, 3)
    running[n + 1], running[n + 2] = until_text, members[id]
    local fields = pack(job)
    packed[id] = fields
    values[v + 1], values[v + 2] = prefix .. id, fields
    n, v = n + 2, v + 2
    if is_watched then topics['j' .. id] = true end
  end
  count(queue, 2, -#there)
  count(queue, 3, #there)
end
local function claim(wanted)
  local worker, lease_for, queues, kinds, waits = unpack(cmsgpack.unpack(wanted))
  if promote(500) > 0 then flush() end
  local claimed, looks = {}, 0
  for _, queue in ipairs(queues) do
    local name, slots = queue[1], queue[2]
    while slots > 0 and looks < 100 do
      local asked = math.min(slots, 500)
      local found = take_first(name, asked, kinds)
      local there = whole(found)
      if has_pauses() then there = without_paused(there, name) end
      take(there, name, worker, now + lease_for)
      for _, candidate in ipairs(there) do
        claimed[#claimed + 1] = candidate
      end
      slots = slots - #there
      if #found < asked then break end
      looks = looks + 1
    end
  end
  local next_due, more = -1, #claimed == 0 and looks == 100 and 1 or 0
  done()
  if #claimed == 0 and waits then
    for _, queue in ipairs(queues) do
      call('SADD', root .. 'watched', 'q' .. queue[1])
    end
    local first = call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
    next_due = first[2] and tonumber(first[2]) or -1
  end
  local answer, n = { now, next_due, more }, 3
  for _, candidate in ipairs(claimed) do
    local id = candidate[1]
    answer[n + 1], answer[n + 2], answer[n + 3] = id, packed[id], candidate[2]
    answer[n + 4] = jobs[id][15] > 0 and call('HGETALL', root .. 't:' .. id) or false
    n = n + 4
  end
  return answer
end
return claim(ARGV[2])
