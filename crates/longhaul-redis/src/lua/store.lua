-- What every script shares: where things are kept, and how a job is read, changed and written back.
--
-- KEYS[1]  the root of all keys, with its hash tag, so that they are in one slot: '{prefix}:'
-- ARGV[1]  the time in milliseconds, or '' for the server's own clock
--
-- A script works on jobs in memory and writes at its end: all checks come before the first write, because nothing
-- undoes what a script has written.
--
-- <root>m:ID        a job's fields, a packed array in the order below
-- <root>d:ID        what never changes of it and no script reads: args, labels, ...
-- <root>x:ID        a hash: its progress, and an output too long for the fields
-- <root>e:ID        a list of its errors
-- <root>t:ID        a hash of its steps
-- <root>l:ID        a stream, its log; an event's number is the entry's
-- <root>all         ids by seq
-- <root>lane|Q|K|V  the available jobs of a queue, kind and version, by rank; members are a seq, an id and a queue
-- <root>lanes|Q     the lanes of a queue that are not empty
-- <root>scheduled   members by run_at
-- <root>running     members by the end of their leases
-- <root>stopping    those that were asked to stop, by the end of their grace
-- <root>ended|Q|S   members by when their retention begins
-- <root>counts      a hash: 'Q|S' -> how many
-- <root>queues      a hash: queue -> its configuration
-- <root>unique      a hash: unique key -> 'expiry|id', the expiry 0 while the job has not ended
-- <root>promises    a hash: idempotency key -> packed {expiry, fingerprint, id}
-- <root>forget      what may be dropped when: 'u' and a unique key, 'i' and an idempotency key
-- <root>gone        ids of removed jobs, by when they are forgotten
-- <root>workers     worker ids by when they were heard of; <root>worker: a hash of what they say of themselves
-- <root>watched     a set of what somebody waits to hear of: 'q' and a queue, 'j' and a job's id
-- <root>last        the last number drawn
-- <root>schema      the version of all this

local call = redis.call
local root = KEYS[1]

local SEQ, STATE, QUEUE, KIND, VERSION, PRIORITY, MAX_CRASHES, CREATED_AT, RUN_AT, ATTEMPT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local CRASHES, INTERRUPTIONS, TOKEN, WORKER, STARTED_AT, FINISHED_AT, LEASE_UNTIL, CANCEL_BY = 11, 12, 13, 14, 15, 16, 17, 18
-- LOG is 0 for an empty log, 1 for one that ends in a reset, 2 for any other.
local LAST_EVENT, STATE_EVENT, STATE_AT, LOG, STEPS, ERRORS, PROGRESS = 19, 20, 21, 22, 23, 24, 25
-- OUTPUT is false, the output, or true where it is in the hash beside.
local OUTPUT, UNIQUE, PERIOD, LIMIT_KEY, PARENT = 26, 27, 28, 29, 30

local BLOCKED, SCHEDULED, AVAILABLE, RUNNING, COMPLETED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6
local HELD, CANCEL_REQUESTED, LOST = 0, 1, 2

local KEPT_ERRORS = 20
local GONE_FOR = 24 * 3600 * 1000
local PRIORITY_STEP = 60000
-- The longest output that is kept among the fields.
local SHORT_OUTPUT = 512
-- Lua takes no more than some 8,000 arguments.
local ARGUMENTS = 4000

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now = clock()

-- A number in digits: Lua's own way loses those beyond the fourteenth.
local function digits(number)
  return string.format('%.0f', number)
end

-- Jobs read so far: id -> fields, or false where there is no job.
local jobs = {}
-- Where a job is in an ordered set: id -> member.
local members = {}
-- What is to be written: ids of changed jobs, values of keys, key -> member -> score or false, field -> difference.
local changed, values, places, counts = {}, {}, {}, {}
-- Keys to be deleted; lanes that are among the places: key -> {queue, lane}; whom to tell: topic -> true.
local doomed, lanes, topics = {}, {}, {}
-- The fields as they were last written.
local packed = {}
local last

-- Calls with any number of arguments, after a key where there is one.
local function call_with(command, key, arguments)
  for from = 1, #arguments, ARGUMENTS do
    local to = math.min(from + ARGUMENTS - 1, #arguments)
    if key then
      call(command, key, unpack(arguments, from, to))
    else
      call(command, unpack(arguments, from, to))
    end
  end
end

-- Reads values of keys, in order; false where there is none.
local function read_all(kind, ids)
  local found = {}
  for from = 1, #ids, ARGUMENTS do
    local keys = {}
    for i = from, math.min(from + ARGUMENTS - 1, #ids) do
      keys[#keys + 1] = root .. kind .. ids[i]
    end
    for i, value in ipairs(call('MGET', unpack(keys))) do
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
      jobs[missing[i]] = cmsgpack.unpack(fields)
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
  last = math.max(last + 1, now * 1024)
  return last
end

-- A job in an ordered set. The seq decides between equal scores; the queue is there for a job whose data is lost.
local function member_of(id, job)
  local member = members[id]
  if not member then
    member = string.format('%016.0f', job[SEQ]) .. id .. '|' .. job[QUEUE]
    members[id] = member
  end
  return member
end

local function id_of(member)
  return string.sub(member, 17, string.find(member, '|', 17, true) - 1)
end

-- Notes a member's new score, or false to take it out.
local function place(key, member, score)
  local set = places[key]
  if not set then
    set = {}
    places[key] = set
  end
  set[member] = score
end

local function count(queue, state, difference)
  local field = queue .. '|' .. state
  counts[field] = (counts[field] or 0) + difference
end

local function lane_of(queue, kind, version)
  return root .. 'lane|' .. queue .. '|' .. kind .. '|' .. version
end

-- The ordered set that a job's state puts it into, and its score there.
local function place_of(job)
  local state = job[STATE]
  if state == AVAILABLE then
    local key = lane_of(job[QUEUE], job[KIND], job[VERSION])
    lanes[key] = lanes[key] or { job[QUEUE], job[KIND] .. '|' .. job[VERSION] }
    return key, job[RUN_AT] - job[PRIORITY] * PRIORITY_STEP
  elseif state == RUNNING then
    return root .. 'running', job[LEASE_UNTIL]
  elseif state == SCHEDULED then
    return root .. 'scheduled', job[RUN_AT]
  elseif state >= COMPLETED then
    local kept_from = job[FINISHED_AT]
    if state == COMPLETED and job[PERIOD] then kept_from = kept_from + job[PERIOD] end
    return root .. 'ended|' .. job[QUEUE] .. '|' .. state, kept_from
  end
end

-- Notes that a job's fields have changed and that its readers must hear of it.
local function touch(id)
  changed[id] = true
  topics['j' .. id] = true
end

-- Takes a job out of its place. All that the place is made of must still be as it was.
local function leave(id, job)
  local key = place_of(job)
  local member = member_of(id, job)
  if key then place(key, member, false) end
  if job[STATE] == RUNNING and job[CANCEL_BY] then place(root .. 'stopping', member, false) end
  count(job[QUEUE], job[STATE], -1)
end

-- Puts a job into the place that its fields say.
local function settle(id, job)
  local key, score = place_of(job)
  local member = member_of(id, job)
  if key then place(key, member, score) end
  local state = job[STATE]
  if state == RUNNING and job[CANCEL_BY] then place(root .. 'stopping', member, job[CANCEL_BY]) end
  -- Who waits for the next due job must hear of one that is due sooner, too.
  if state == AVAILABLE or state == SCHEDULED then topics['q' .. job[QUEUE]] = true end
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
  job[CANCEL_BY] = false
  if state >= COMPLETED then job[FINISHED_AT] = now end
end

-- Makes a job wait for a time, which may be now or past.
local function wait_until(job, run_at)
  job[RUN_AT] = math.max(run_at, now)
  enter(job, run_at > now and SCHEDULED or AVAILABLE)
end

-- The job that holds a unique key, and until when it does, 0 for as long as it has not ended. One whose data has been
-- taken from under us holds nothing.
local function holder_of(key)
  local hold = call('HGET', root .. 'unique', key)
  if not hold then return false end
  local bar = string.find(hold, '|', 1, true)
  local expires_at, id = tonumber(string.sub(hold, 1, bar - 1)), string.sub(hold, bar + 1)
  if expires_at ~= 0 and expires_at <= now then return false end
  return job_of(id) and id
end

local function hold(key, id, expires_at)
  call('HSET', root .. 'unique', key, digits(expires_at) .. '|' .. id)
  if expires_at > 0 then call('ZADD', root .. 'forget', expires_at, 'u' .. key) end
end

-- Frees a job's unique key, where it is the job's.
local function free_key(id, job)
  if not job[UNIQUE] then return end
  local held = call('HGET', root .. 'unique', job[UNIQUE])
  if held and string.sub(held, string.find(held, '|', 1, true) + 1) == id then
    call('HDEL', root .. 'unique', job[UNIQUE])
  end
end

-- A job has ended: its unique key outlives only a completion, and that only for its period.
local function let_go(id, job)
  if not job[UNIQUE] then return end
  if job[STATE] == COMPLETED and job[PERIOD] then
    hold(job[UNIQUE], id, now + job[PERIOD])
  else
    free_key(id, job)
  end
end

-- Adds to the history of failures, as of the present attempt. `error` is the rest of an object in JSON.
local function keep_error(id, job, error)
  local key = root .. 'e:' .. id
  call('RPUSH', key, '{"attempt":' .. job[ATTEMPT] .. ',"at":' .. digits(now) .. ',' .. error)
  if job[ERRORS] >= KEPT_ERRORS then
    call('LTRIM', key, -KEPT_ERRORS, -1)
  else
    job[ERRORS] = job[ERRORS] + 1
  end
end

local function give_attempt_back(job)
  job[ATTEMPT] = math.max(job[ATTEMPT] - 1, 0)
end

local function log(id, job, body)
  job[LAST_EVENT] = job[LAST_EVENT] + 1
  call('XADD', root .. 'l:' .. id, digits(job[LAST_EVENT]) .. '-0', 't', digits(now), 'n', job[ATTEMPT], 'b', body)
end

-- The job that runs under a lease, where the lease is the current one.
local function leased(id, token)
  local job = job_of(id)
  return job and job[STATE] == RUNNING and job[TOKEN] == token and job
end

local function lease_status(job)
  return job[CANCEL_BY] and CANCEL_REQUESTED or HELD
end

-- Forgets what is left of a job.
local function drop(id)
  jobs[id] = false
  changed[id] = nil
  values[root .. 'd:' .. id] = nil
  place(root .. 'all', id, false)
  for _, kind in ipairs({ 'm:', 'd:', 'x:', 'e:', 't:', 'l:' }) do
    doomed[#doomed + 1] = root .. kind .. id
  end
  topics['j' .. id] = true
end

-- Removes a job with all that is its own, and remembers for a while that it was there.
local function remove(id, job)
  leave(id, job)
  free_key(id, job)
  drop(id)
  place(root .. 'gone', id, now + GONE_FOR)
end

-- A member of an ordered set whose job's data somebody has taken from under us (an eviction, a hand): the rest of it
-- goes too, and counts no more where the set says its state.
local function bury(key, member, state)
  place(key, member, false)
  if state then count(string.sub(member, string.find(member, '|', 17, true) + 1), state, -1) end
  drop(id_of(member))
end

-- The jobs of members of an ordered set that are in the state which the set is for. What is not is cleared away.
-- `counted` is the state in which a job that is only in this set was counted.
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
    elseif job[STATE] == state then
      there[#there + 1] = id
    else
      place(key, found[i], false)
    end
  end
  return there
end

-- Makes at most `limit` scheduled jobs available whose time has come, and says how many there were.
local function promote(limit)
  local key = root .. 'scheduled'
  local due = jobs_at(key, call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit), SCHEDULED, SCHEDULED)
  for _, id in ipairs(due) do
    local job = jobs[id]
    leave(id, job)
    -- `run_at` stays: its rank counts from when it fell due, whoever noticed that and when.
    enter(job, AVAILABLE)
    settle(id, job)
  end
  return #due
end

local function write_places()
  for key, set in pairs(places) do
    local added, taken = {}, {}
    for member, score in pairs(set) do
      if score then
        added[#added + 1] = score
        added[#added + 1] = member
      else
        taken[#taken + 1] = member
      end
    end
    call_with('ZREM', key, taken)
    call_with('ZADD', key, added)
    local lane = lanes[key]
    if lane then
      if #added > 0 then
        call('SADD', root .. 'lanes|' .. lane[1], lane[2])
      elseif call('EXISTS', key) == 0 then
        call('SREM', root .. 'lanes|' .. lane[1], lane[2])
      end
    end
  end
  places, lanes = {}, {}
end

-- Writes all that is noted, so that the database is as the jobs are in memory.
local function flush()
  local written = {}
  for id in pairs(changed) do
    local fields = cmsgpack.pack(jobs[id])
    packed[id] = fields
    written[#written + 1] = root .. 'm:' .. id
    written[#written + 1] = fields
  end
  for key, value in pairs(values) do
    written[#written + 1] = key
    written[#written + 1] = value
  end
  call_with('MSET', nil, written)
  write_places()
  for field, difference in pairs(counts) do
    if difference ~= 0 and call('HINCRBY', root .. 'counts', field, difference) <= 0 then
      call('HDEL', root .. 'counts', field)
    end
  end
  call_with('UNLINK', nil, doomed)
  if last then call('SET', root .. 'last', digits(last)) end
  changed, values, counts, doomed = {}, {}, {}, {}
end

-- Writes, and tells those who wait. Who was told must ask again, so that nothing is sent to nobody.
local function done()
  flush()
  local said = {}
  for topic in pairs(topics) do
    said[#said + 1] = topic
  end
  if #said == 0 or call('EXISTS', root .. 'watched') == 0 then return end
  local heard = {}
  for from = 1, #said, ARGUMENTS do
    local to = math.min(from + ARGUMENTS - 1, #said)
    for i, is_watched in ipairs(call('SMISMEMBER', root .. 'watched', unpack(said, from, to))) do
      if is_watched == 1 then heard[#heard + 1] = said[from + i - 1] end
    end
  end
  if #heard > 0 then
    call_with('SREM', root .. 'watched', heard)
    call('PUBLISH', root .. 'news', table.concat(heard, '\n'))
  end
end
