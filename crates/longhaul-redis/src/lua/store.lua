-- What every script shares: where things are kept, and how a job is read, changed and written back.
--
-- KEYS[1]  the root of all keys, with its hash tag, so that they are in one slot: '{prefix}:'
-- ARGV[1]  the time in milliseconds, or '' for the server's own clock
--
-- A script works on jobs in memory and writes at its end: all checks come before the first write, because nothing
-- undoes what a script has written.
--
-- <root>m:ID        a job's fields: those that change and then those that do not, packed as `pack` says
-- <root>d:ID        what never changes of it and no script reads: args, labels, ...
-- <root>x:ID        a hash: its progress, and an output too long for the fields
-- <root>e:ID        a list of its errors
-- <root>t:ID        a hash of its steps
-- <root>l:ID        a stream, its log; an event's number is the entry's
-- <root>all         ids by seq; <root>state|S: those in a state that few are in, for lists of these
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
-- <root>paused      limit keys by when their pauses end
-- <root>of|ID       the ids of the jobs that name a job as their parent, by seq
-- <root>forget      what may be dropped when: 'u' and a unique key, 'i' and an idempotency key
-- <root>gone        ids of removed jobs, by when they are forgotten
-- <root>workers     worker ids by when they were heard of; <root>worker: a hash of what they say of themselves
-- <root>watched     a set of what somebody waits to hear of: 'q' and a queue, 'j' and a job's id
-- <root>last        the last number drawn
-- <root>schema      the version of all this

-- Names in capitals that stand for whole numbers are replaced by these when a script is loaded: see `scripts.rs`.

local call, format, find, sub = redis.call, string.format, string.find, string.sub
local struct_pack, struct_unpack, max = struct.pack, struct.unpack, math.max
local root = KEYS[1]

-- What changes of a job. Of the times, 0 is none.
local STATE, RUN_AT, ATTEMPT, CRASHES, INTERRUPTIONS, TOKEN, STARTED_AT, FINISHED_AT = 1, 2, 3, 4, 5, 6, 7, 8
local LEASE_UNTIL, CANCEL_BY, LAST_EVENT, STATE_EVENT, STATE_AT = 9, 10, 11, 12, 13
-- LOG is 0 for an empty log, 1 for one that ends in a reset, 2 for any other. OUTPUT_AT is 0 where there is no output, 1
-- where it is in OUTPUT, 2 where it is in the hash beside. CHILDREN are four counts, in a job that waits or waited for
-- them: all, completed, failed and cancelled ones. An empty word is none.
local LOG, STEPS, ERRORS, PROGRESS, OUTPUT_AT, WORKER, OUTPUT, CHILDREN = 14, 15, 16, 17, 18, 19, 20, 21
local CHANGING = '>Bi8I4I4I4i8i8i8i8i8I4I4i8BI4BBBI2c0I4c0I2c0'
-- The same before the rest, which does not change and is handed on as it is.
local CHANGING_AND_REST = CHANGING .. 'c0'
local COUNTS = '>I4I4I4I4'

-- What does not change, still packed, and what `know` makes of it. BATCH is the seq of the parent that counts the job, or
-- 0; PERIOD is -1 for none. After these comes the time of creation, which no script reads.
local FIXED, SEQ, BATCH, VERSION, PRIORITY, MAX_CRASHES, PERIOD = 22, 23, 24, 25, 26, 27, 28
local QUEUE, KIND, UNIQUE, LIMIT_KEY, PARENT = 29, 30, 31, 32, 33
local TO_UNIQUE = '>i8i8I4i4I4i8I2c0I2c0I2c0'
local FIXED_FORMAT = TO_UNIQUE .. 'I2c0I2c0'

local BLOCKED, SCHEDULED, AVAILABLE, RUNNING, COMPLETED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6
local HELD, CANCEL_REQUESTED, LOST = 0, 1, 2

-- The states whose jobs are in a set of their own by seq.
local LISTED = {
  [BLOCKED] = root .. 'state|0',
  [SCHEDULED] = root .. 'state|1',
  [FAILED] = root .. 'state|5',
  [CANCELLED] = root .. 'state|6',
}

local KEPT_ERRORS = 20
local GONE_FOR = 86400000
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

-- Jobs read so far: id -> fields, or false where there is no job; and as they were last read or written.
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
