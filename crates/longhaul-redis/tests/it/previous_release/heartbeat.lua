#!lua flags=allow-oom
-- The `heartbeat` of the previous release, as it told it to the server. To be replaced by that of a later one, never changed.
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
local lease_until = now + tonumber(ARGV[4])
put(root .. 'workers', now, ARGV[2])
call('HSET', root .. 'worker', ARGV[2], ARGV[3])
local ids, statuses = {}, {}
for i = 5, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
read_jobs(ids)
for i, id in ipairs(ids) do
  local job = leased(id, tonumber(ARGV[2 * i + 4]))
  if job then
    job[9] = lease_until
    put(running_key, lease_until, member_of(id, job))
    changed[id] = true
  end
  statuses[i] = job and lease_status(job) or 2
end
done()
return statuses
