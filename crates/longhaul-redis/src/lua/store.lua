-- How a job is read, changed and written back.
--
-- A script works on jobs in memory and writes at its end: all checks come before the first write, because nothing
-- undoes what a script has written.

-- The states whose jobs are in a set of their own by seq.
local LISTED = {
  [BLOCKED] = root .. 'state|0',
  [SCHEDULED] = root .. 'state|1',
  [FAILED] = root .. 'state|5',
  [CANCELLED] = root .. 'state|6',
}

-- Jobs read so far: id -> fields, or false where there is no job; and as they were read.
local jobs, packed = {}, {}
-- Where a job is in an ordered set: id -> member.
local members = {}
-- What is to be written: ids of changed jobs, keys and values in turn, key -> scores and members in turn, key -> members,
-- queue -> state -> difference, keys to be deleted.
local changed, values, added, taken, counts, doomed = {}, {}, {}, {}, {}, {}
-- Jobs that this very script has created, of which nothing is read before they are written.
local created = {}
-- The lanes among them: key -> {queue, lane}.
local lanes = {}
-- Whom to tell: topic -> true. Most of the time nobody waits to hear anything.
local topics, is_watched = {}, call('EXISTS', root .. 'watched') == 1
local last

-- A number in digits: Lua's own way loses those beyond the fourteenth.
local function digits(number)
  return format('%d', number)
end

local function pack(job)
  local worker, output, children = job[WORKER], job[OUTPUT], job[CHILDREN]
  return struct_pack(CHANGING_AND_REST, job[STATE], job[RUN_AT], job[ATTEMPT], job[CRASHES], job[INTERRUPTIONS], job[TOKEN],
    job[STARTED_AT], job[FINISHED_AT], job[LEASE_UNTIL], job[CANCEL_BY], job[LAST_EVENT], job[STATE_EVENT], job[STATE_AT],
    job[LOG], job[STEPS], job[ERRORS], job[PROGRESS], job[OUTPUT_AT],
    #worker, worker, #output, output, #children, children, job[FIXED])
end

local function unpack_job(fields)
  local job = { struct_unpack(CHANGING, fields) }
  -- What follows the last value is where the rest begins.
  job[FIXED] = sub(fields, job[FIXED])
  return job
end

-- Reads what does not change of a job, for whoever needs it: a claim does not.
local function know(job)
  if not job[SEQ] then
    local parent
    job[SEQ], job[BATCH], job[VERSION], job[PRIORITY], job[MAX_CRASHES], job[PERIOD], job[QUEUE], job[KIND],
      job[UNIQUE], job[LIMIT_KEY], parent = struct_unpack(FIXED_FORMAT, job[FIXED])
    -- Most have none, and a field more would make the table grow.
    if parent ~= '' then job[PARENT] = parent end
  end
  return job
end

-- Reads values of keys, in order; false where there is none.
local function read_all(kind, ids)
  local found, prefix = {}, root .. kind
  for from = 1, #ids, ARGUMENTS do
    local keys = {}
    for i = from, math.min(from + ARGUMENTS - 1, #ids) do
      keys[#keys + 1] = prefix .. ids[i]
    end
    local values = call('MGET', unpack(keys))
    if #ids <= ARGUMENTS then return values end
    for i, value in ipairs(values) do
      found[from + i - 1] = value
    end
  end
  return found
end

-- Reads jobs in one go, so that `job_of` finds them.
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

-- Draws a number for a job's seq or a lease's token. It is the time in 1/1024 ms, or the last one plus one where that
-- is more: it never comes again, even where a server has lost its newest writes.
local function draw()
  last = last or tonumber(call('GET', root .. 'last') or 0)
  last = max(last + 1, now * 1024)
  return last
end

-- A job in an ordered set. The seq decides between equal scores; the queue is there for a job whose data is lost.
local function new_member(seq, id, queue)
  return format('%016d', seq) .. id .. '|' .. queue
end

local function member_of(id, job)
  local member = members[id]
  if not member then
    know(job)
    member = new_member(job[SEQ], id, job[QUEUE])
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

-- The list of a key among lists.
local function list_of(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

-- Scores as text: the server would write each number anew, and with more care than whole ones need.
local scores = {}

-- Notes that a member is to be put into an ordered set, or to get another score there.
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

-- Notes that a member is to be taken out of an ordered set. All that is taken out is written before all that is put in.
local function take_out(key, member)
  -- So what this very call has put there is forgotten: a closing job may be freed and cancelled by one and the same.
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

-- The ordered set that a job's state puts it into, and its score there.
local function place_of(job)
  local state = know(job)[STATE]
  if state == AVAILABLE then
    return lane_of(job[QUEUE], job[KIND], job[VERSION]), job[RUN_AT] - job[PRIORITY] * PRIORITY_STEP
  elseif state == RUNNING then
    return running_key, job[LEASE_UNTIL]
  elseif state == SCHEDULED then
    return scheduled_key, job[RUN_AT]
  elseif state >= COMPLETED then
    local kept_from = job[FINISHED_AT]
    if state == COMPLETED and job[PERIOD] >= 0 then kept_from = kept_from + job[PERIOD] end
    return ended_of(job[QUEUE], state), kept_from
  end
end

-- Notes that a job's fields have changed and that its readers must hear of it.
local function touch(id)
  changed[id] = true
  if is_watched then topics['j' .. id] = true end
end

-- Takes a job out of its place. All that the place is made of must still be as it was.
local function leave(id, job)
  local state, member, place = job[STATE], member_of(id, job), place_of(job)
  if place then take_out(place, member) end
  if LISTED[state] then take_out(LISTED[state], id) end
  if state == RUNNING and job[CANCEL_BY] ~= 0 then take_out(stopping_key, member) end
  count(job[QUEUE], state, -1)
end

-- Puts a job into the place that its fields say.
local function settle(id, job)
  local place, score = place_of(job)
  local state, member = job[STATE], member_of(id, job)
  if place then put(place, score, member) end
  if LISTED[state] then put(LISTED[state], job[SEQ], id) end
  if state == RUNNING and job[CANCEL_BY] ~= 0 then put(stopping_key, job[CANCEL_BY], member) end
  -- Who waits for the next due job must hear of one that is due sooner, too.
  if is_watched and (state == AVAILABLE or state == SCHEDULED) then topics['q' .. job[QUEUE]] = true end
  count(job[QUEUE], state, 1)
  touch(id)
end

-- Moves a job to another state. Whatever belongs to a run that this ends is void from here on.
local function enter(job, state)
  -- A completion takes two numbers: the output's, then the state's.
  job[LAST_EVENT] = job[LAST_EVENT] + (state == COMPLETED and 2 or 1)
  job[STATE_EVENT] = job[LAST_EVENT]
  job[STATE_AT] = now
  job[STATE] = state
  job[CANCEL_BY] = 0
  if state >= COMPLETED then job[FINISHED_AT] = now end
end

-- Makes a job wait for a time, which may be now or past.
local function wait_until(job, run_at)
  job[RUN_AT] = max(run_at, now)
  enter(job, run_at > now and SCHEDULED or AVAILABLE)
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

-- Writes all that is noted, so that the database is as the jobs are in memory.
local function flush()
  local prefix, n = root .. 'm:', #values
  for id in pairs(changed) do
    values[n + 1], values[n + 2] = prefix .. id, pack(jobs[id])
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

-- Tells those who wait. Who was told must ask again, so that nothing is sent to nobody.
local function publish()
  local said, heard = {}, {}
  for topic in pairs(topics) do
    said[#said + 1] = topic
  end
  for from = 1, #said, ARGUMENTS do
    local to = math.min(from + ARGUMENTS - 1, #said)
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
