-- Jobs in memory: reads, changes and writes them.
--
-- A script works on jobs in memory, notes what is to be written, and writes at the end (`flush`). An error before that, say
-- of a value that cannot be read, leaves everything as it was; an error of one of the commands that write keeps none of the
-- others from being run. So no script ends half-way.

-- The states whose jobs are in a set of their own by seq.
local LISTED = {
  [BLOCKED] = root .. 'state|0',
  [SCHEDULED] = root .. 'state|1',
  [FAILED] = root .. 'state|5',
  [CANCELLED] = root .. 'state|6',
}

-- Jobs read so far: id -> fields, or false where there is no job; the same as they were read; ids of records that are there
-- and cannot be read.
local jobs, packed, damaged = {}, {}, {}
-- id -> the member of the job in ordered sets.
local members = {}
-- Notes of what is to be written: ids of changed jobs; keys and values in turn; key -> scores and members in turn; key -> members;
-- key -> how many members of the lowest scores; queue -> state -> difference; events as keys, ids, attempts and bodies in
-- turn; commands; keys to be unlinked.
local changed, values, added, removed, popped, counts, events, commands, unlinked = {}, {}, {}, {}, {}, {}, {}, {}, {}
-- Jobs that this very script has created: id -> fields. They are read only where another job of the call concerns them.
local created = {}
-- Claim sources among the keys: key -> {queue, 'kind|version'}.
local sources = {}
-- Topics to be published: topic -> true.
local topics = {}
-- Notes for limit keys: ids of runs that end and may hold slots, if any run holds some; queues in which jobs without keys become
-- available, if any queue is fair. `over` are jobs whose time is over, `brought` new jobs that bring steps. The rest is functions that
-- few scripts need. It is one table, because each variable costs the functions that use it; with room for all entries, because a table
-- that grows costs more.
local keyed = {
  ended = {}, arrivals = {}, is_holding = false, is_fair = false, is_bounded = false, is_limited = false, over = false,
  brought = false, tails = false, held_after = false, bounds = false, has_bounds = false, stopping = false, dependants = false,
}
-- Most of the time nobody waits for any topic, nothing runs that has limit keys, no queue is fair or has limits, and nothing is bounded.
local is_watched = call('EXISTS', root .. 'watched', root .. 'holding', root .. 'fair', root .. 'bounds', root .. 'limited') > 0
if is_watched then
  keyed.is_holding = call('EXISTS', root .. 'holding') == 1
  keyed.is_fair = call('EXISTS', root .. 'fair') == 1
  keyed.is_bounded = call('EXISTS', root .. 'bounds') == 1
  keyed.is_limited = call('EXISTS', root .. 'limited') == 1
  is_watched = call('EXISTS', root .. 'watched') == 1
end
local last

-- Changes of state, where the caller wants to be told of them, or false: the time, and then for each its id, kind, queue, the
-- states before and after or -1, the attempt, when the run began that is over or 0, and the failure that ended it or false.
local told = false
-- id -> the state that a job has left, and the failure of its run.
local states_left, failures = {}, {}

-- A number in digits: Lua's own way loses those beyond the fourteenth.
local function digits(number)
  return format('%d', number)
end

-- Notes a command to be run when all is written.
local function write(...)
  commands[#commands + 1] = { ... }
end

local function pack(job)
  local worker, output, children = job[WORKER], job[OUTPUT], job[CHILDREN]
  return struct_pack(CHANGING_AND_REST, job[STATE], job[RUN_AT], job[ATTEMPT], job[CRASHES], job[INTERRUPTIONS], job[TOKEN],
    job[STARTED_AT], job[FINISHED_AT], job[LEASE_UNTIL], job[CANCEL_BY], job[LAST_EVENT], job[STATE_EVENT], job[STATE_AT],
    job[LOG], job[STEPS], job[ERRORS], job[PROGRESS], job[OUTPUT_AT],
    #worker, worker, #output, output, #children, children, job[FIXED])
end

-- Reads a record, and fails where it is none of ours.
local function decode(record)
  local job, parent, at = { struct_unpack(CHANGING, record) }, nil, nil
  -- The last value is the position at which the rest begins.
  job[FIXED] = sub(record, job[FIXED])
  job[SEQ], job[BATCH], job[VERSION], job[PRIORITY], job[MAX_CRASHES], job[PERIOD], job[QUEUE], job[KIND],
    job[UNIQUE], job[LIMIT_KEY], parent, at = struct_unpack(FIXED_FORMAT, job[FIXED])
  assert(job[STATE] <= CANCELLED and (#job[CHILDREN] == 0 or #job[CHILDREN] == 16))
  -- Most have none, and a field more would make the table grow.
  if parent ~= '' then job[PARENT] = parent end
  -- Behind the time of creation and the cost.
  if #job[FIXED] >= at + 15 + TAIL_BYTES then
    job[EXPIRES_AT], job[DEADLINE], job[HELD_UNTIL], job[REASON], job[ENDS], at = struct_unpack(TAIL, job[FIXED], at + 16)
    if #job[FIXED] >= at then
      job[WAITS_FOR], job[WAKES], job[AWAITED], job[DEPENDS], job[LEFT], job[SIGNAL], job[BEHIND] =
        struct_unpack(WAITS_TAIL, job[FIXED], at)
    else
      job[WAITS_FOR], job[WAKES], job[AWAITED], job[DEPENDS], job[LEFT], job[SIGNAL], job[BEHIND] = 0, 0, 0, 0, 0, '', ''
    end
  end
  return job
end

-- Reads values of keys, in order; false where there is none.
local function read_all(prefix, ids)
  local found, keys = {}, {}
  for from = 1, #ids, ARGUMENTS do
    local to = min(from + ARGUMENTS - 1, #ids)
    for i = from, to do
      keys[i] = root .. prefix .. ids[i]
    end
    local read = call('MGET', unpack(keys, from, to))
    if #ids <= ARGUMENTS then return read end
    for i, value in ipairs(read) do
      found[from + i - 1] = value
    end
  end
  return found
end

-- Reads jobs in one go, so that `job_of` finds them.
local function read_jobs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if jobs[id] == nil and created[id] then
      jobs[id] = decode(created[id])
    elseif jobs[id] == nil then
      jobs[id] = false
      missing[#missing + 1] = id
    end
  end
  for i, record in ipairs(read_all('m:', missing)) do
    if record then
      local id = missing[i]
      local is_ours, job = pcall(decode, record)
      if is_ours then
        packed[id], jobs[id] = record, job
      else
        damaged[id] = true
      end
    end
  end
end

local function job_of(id)
  if jobs[id] == nil then read_jobs({ id }) end
  return jobs[id]
end

-- Draws a number for the seq of a job or the token of a lease. It is the time in 1/1024 ms, or the last one plus one where
-- that is more: it never comes again, even where a server has lost its newest writes.
local function draw()
  last = last or tonumber(call('GET', root .. 'last') or 0) or 0
  last = max(last + 1, now * 1024)
  return last
end

-- A local variable is found sooner than a function of the server's, where it is used for each job.
local find_in, part_of, formatted = find, sub, format

-- The member of a job in ordered sets. The seq decides between equal scores; the queue is there for a job whose record is
-- lost.
local function new_member(seq, id, queue)
  return formatted('%016d', seq) .. id .. '|' .. queue
end

local function member_of(id, job)
  local member = members[id]
  if not member then
    member = new_member(job[SEQ], id, job[QUEUE])
    members[id] = member
  end
  return member
end

local function queue_of(member)
  return part_of(member, find_in(member, '|', 17, true) + 1)
end

local function id_of(member)
  return part_of(member, 17, find_in(member, '|', 17, true) - 1)
end

local function seq_of(member)
  return tonumber(part_of(member, 1, 16))
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
local function add_member(key, score, member)
  local text = scores[score]
  if not text then
    text = digits(score)
    scores[score] = text
  end
  local list = list_of(added, key)
  local n = #list
  list[n + 1], list[n + 2] = text, member
end

-- Notes that a member is to be removed from an ordered set. Removals are written before additions.
local function remove_member(key, member)
  -- So an addition that this script has noted is forgotten: a job may be freed and cancelled by one and the same script.
  local noted = added[key]
  if noted then
    for n = #noted, 2, -2 do
      if noted[n] == member then
        table.remove(noted, n)
        table.remove(noted, n - 1)
      end
    end
    if #noted == 0 then added[key] = nil end
  end
  local list = list_of(removed, key)
  list[#list + 1] = member
end

local function count(queue, state, difference)
  local states = list_of(counts, queue)
  states[state] = (states[state] or 0) + difference
end

local function source_of(queue, kind, version)
  local name = kind .. '|' .. version
  local key = root .. 'lane|' .. queue .. '|' .. name
  sources[key] = sources[key] or { queue, name }
  return key
end

-- Keys of ended jobs: state -> queue -> key.
local ended_keys = {}

local function ended_of(queue, state)
  local keys = list_of(ended_keys, state)
  local key = keys[queue]
  if not key then
    key = root .. 'ended|' .. queue .. '|' .. state
    keys[queue] = key
  end
  return key
end

local running_key, scheduled_key, stopping_key = root .. 'running', root .. 'scheduled', root .. 'stopping'

-- Until when a job holds its unique key that has ended, the end of all times where it does until it is removed; nil where it does
-- not.
function keyed.held_after(job)
  local state, ended_at, held_until = job[STATE], job[FINISHED_AT], job[HELD_UNTIL]
  if held_until and held_until ~= 0 then return held_until > ended_at and held_until or nil end
  local is_named = job[ENDS] and bit.band(job[ENDS], 2 ^ state) ~= 0
  if job[PERIOD] >= 0 and (is_named or state == COMPLETED) then return min(ended_at + job[PERIOD], END_OF_TIME) end
  return is_named and END_OF_TIME or nil
end

-- The ordered set that holds a job in its state, and its score there.
local function place_of(job)
  local state = job[STATE]
  if state == AVAILABLE then
    local rank = job[RUN_AT] - job[PRIORITY] * PRIORITY_STEP
    return source_of(job[QUEUE], job[KIND], job[VERSION]), job[LIMIT_KEY] == '' and rank or rank + KEYED
  elseif state == RUNNING then
    return running_key, job[LEASE_UNTIL]
  elseif state == SCHEDULED then
    return scheduled_key, job[RUN_AT]
  elseif state >= COMPLETED then
    local held_until = keyed.held_after(job)
    return ended_of(job[QUEUE], state), held_until and held_until < END_OF_TIME and held_until or job[FINISHED_AT]
  elseif job[WAKES] == 1 then
    return root .. 'waking', job[RUN_AT]
  end
end

-- Notes that the record of a job has changed and that its readers must look again.
local function mark_changed(id)
  changed[id] = true
  if is_watched then topics['j' .. id] = true end
end

-- Has changes of state noted from here on.
local function note_changes()
  told = { now }
end

local function tell(id, job, from, to)
  states_left[id] = nil
  if from == to then return end
  local failure = to ~= CANCELLED and failures[id] or false
  told[#told + 1] =
    { id, job[KIND], job[QUEUE], from, to, job[ATTEMPT], from == RUNNING and job[STARTED_AT] or 0, failure }
end

-- Notes what a job that leaves its state, or enters it with a rank, means to limit keys and to bounds.
local function regroup(id, job, member, rank)
  local state, keys = job[STATE], job[LIMIT_KEY]
  if keyed.is_bounded and (state == AVAILABLE or state == SCHEDULED) then
    keyed.bounds().note(job[QUEUE], keys, member, rank and 1 or -1)
  end
  if state == RUNNING then
    keyed.ended[id] = keyed.is_holding and not rank or nil
  elseif state == AVAILABLE and keys ~= '' then
    local lane = job[QUEUE] .. '|' .. job[KIND] .. '|' .. job[VERSION]
    if rank then
      groups().add(lane, keys, rank - KEYED, member)
    else
      groups().remove(lane, keys, member)
    end
  elseif state == AVAILABLE and rank and keyed.is_fair then
    keyed.arrivals[job[QUEUE]] = true
  elseif state == AVAILABLE and not rank and keyed.is_limited then
    -- It may have kept back those behind it.
    topics['q' .. job[QUEUE]] = true
  end
end

-- Takes a job out of the sets of its state. All fields that its places are made of must still be as they were.
local function unindex(id, job)
  local state, member, place = job[STATE], member_of(id, job), place_of(job)
  if place then remove_member(place, member) end
  if LISTED[state] then remove_member(LISTED[state], id) end
  if state == RUNNING and job[CANCEL_BY] ~= 0 then remove_member(stopping_key, member) end
  regroup(id, job, member)
  count(job[QUEUE], state, -1)
  if told then states_left[id] = state end
end

-- Fields that few jobs have: see `TAIL` in `layout.lua`. Created when a script needs it, as the groups are.
function keyed.tails()
  local api = {}
  keyed.tails = function() return api end

  -- The offset of the time of creation among the fields that do not change: after six numbers and five texts with their lengths.
  local function created_at_in(job)
    return 47 + #job[QUEUE] + #job[KIND] + #job[UNIQUE] + #job[LIMIT_KEY] + #(job[PARENT] or '')
  end

  function api.created_at(job)
    return (struct_unpack('>i8', job[FIXED], created_at_in(job)))
  end

  -- The slots and units of a rate that a job costs.
  function api.cost_of(job)
    local at = created_at_in(job) + 8
    if #job[FIXED] < at + COST_BYTES - 1 then return 1, 1 end
    return struct_unpack(COST, job[FIXED], at)
  end

  -- Puts the tail of a job among its fields, as it is now.
  function api.keep(job)
    local fixed, at = job[FIXED], created_at_in(job)
    local slots, units = api.cost_of(job)
    if job[PERIOD] == -1 then job[PERIOD] = TAILED end
    -- After the seq, the batch, the version, the priority and the crashes.
    fixed = sub(fixed, 1, 28) .. struct_pack('>i8', job[PERIOD]) .. sub(fixed, 37, at + 7)
    if job[WAITS_FOR] + job[WAKES] + job[AWAITED] + job[DEPENDS] == 0 then
      job[FIXED] = fixed
        .. struct_pack(COST_AND_TAIL, slots, units, job[EXPIRES_AT], job[DEADLINE], job[HELD_UNTIL], job[REASON], job[ENDS])
    else
      job[FIXED] = fixed
        .. struct_pack(COST_AND_TAILS, slots, units, job[EXPIRES_AT], job[DEADLINE], job[HELD_UNTIL], job[REASON], job[ENDS],
          job[WAITS_FOR], job[WAKES], job[AWAITED], job[DEPENDS], job[LEFT], #job[SIGNAL], job[SIGNAL], #job[BEHIND], job[BEHIND])
    end
  end

  -- Gives a job a tail that has none.
  function api.begin(job)
    if job[ENDS] then return end
    job[EXPIRES_AT], job[DEADLINE], job[HELD_UNTIL], job[REASON], job[ENDS] = 0, 0, 0, 0, 0
    job[WAITS_FOR], job[WAKES], job[AWAITED], job[DEPENDS], job[LEFT], job[SIGNAL], job[BEHIND] = 0, 0, 0, 0, 0, '', ''
  end

  -- True for a job that is blocked for this.
  function api.waits_for(job, what)
    local waits = job[WAITS_FOR] or 0
    return job[STATE] == BLOCKED and (waits == 0 and ON_CHILDREN or waits) == what
  end

  -- Notes what a job waits for that is blocked, or is about to be.
  function api.set_wait(job, what, signal, wakes)
    api.begin(job)
    job[WAITS_FOR], job[SIGNAL], job[WAKES] = what, signal, wakes and 1 or 0
    api.keep(job)
  end

  -- Notes why a job is cancelled, or asked to stop. Nothing needs to be said of one without a tail that somebody has asked to.
  function api.set_reason(job, reason)
    if not job[ENDS] and reason == ASKED then return end
    api.begin(job)
    job[REASON] = reason
    api.keep(job)
  end

  -- The time at which a job expires or its deadline passes; 0 for never.
  function api.ends_at(job)
    local deadline, expires_at = job[DEADLINE], job[STARTED_AT] == 0 and job[EXPIRES_AT] or 0
    if deadline == 0 or expires_at == 0 then return max(deadline, expires_at) end
    return min(deadline, expires_at)
  end

  -- Has time end a job, or no more where it has ended.
  function api.set_time(job, member)
    local at = api.ends_at(job)
    if at ~= 0 and job[STATE] < COMPLETED then
      add_member(root .. 'timed', at, member)
    elseif at ~= 0 or job[EXPIRES_AT] ~= 0 then
      remove_member(root .. 'timed', member)
    end
  end

  return api
end

-- Puts a job into the sets of its state.
local function index(id, job)
  local place, score = place_of(job)
  local state, member = job[STATE], member_of(id, job)
  if place then add_member(place, score, member) end
  if LISTED[state] then add_member(LISTED[state], job[SEQ], id) end
  if state == RUNNING and job[CANCEL_BY] ~= 0 then add_member(stopping_key, job[CANCEL_BY], member) end
  regroup(id, job, member, score or 0)
  if job[ENDS] then keyed.tails().set_time(job, member) end
  -- Claims that wait for the next due job must look again where one is due sooner, too.
  if is_watched and (state == AVAILABLE or state == SCHEDULED or state == BLOCKED and job[WAKES] == 1) then
    topics['q' .. job[QUEUE]] = true
  end
  count(job[QUEUE], state, 1)
  mark_changed(id)
  if told then tell(id, job, states_left[id] or -1, state) end
end

-- Moves a job to another state. A run that this ends is over, and so is its token.
local function set_state(job, state)
  -- A completion takes two numbers: the output's, then the state's.
  job[LAST_EVENT] = job[LAST_EVENT] + (state == COMPLETED and 2 or 1)
  job[STATE_EVENT] = job[LAST_EVENT]
  job[STATE_AT] = now
  job[STATE] = state
  job[CANCEL_BY], job[TOKEN] = 0, 0
  if state >= COMPLETED then job[FINISHED_AT] = now end
end

-- Makes a job wait for a time, which may be now or past.
local function wait_until(job, run_at)
  job[RUN_AT] = max(min(run_at, END_OF_TIME), now)
  set_state(job, run_at > now and SCHEDULED or AVAILABLE)
end

local function write_members()
  for key, many in pairs(popped) do
    write_now('ZREMRANGEBYRANK', key, 0, many - 1)
    -- The source may be empty now.
    removed[key] = removed[key] or {}
  end
  for key, list in pairs(removed) do
    write_all('ZREM', key, list)
    local source = sources[key]
    if source and not added[key] and call('EXISTS', key) == 0 then
      write_now('SREM', root .. 'lanes|' .. source[1], source[2])
    end
  end
  for key, list in pairs(added) do
    write_all('ZADD', key, list)
    local source = sources[key]
    if source then write_now('SADD', root .. 'lanes|' .. source[1], source[2]) end
  end
  popped, removed, added = {}, {}, {}
end

-- Has the sweep look at the ended jobs of a queue: when there were none before, and at each end where their number is
-- limited. An age alone needs no look at each end, because the oldest job decides.
local function note_ended(queue, field, is_first)
  if is_first then
    write_now('ZADD', root .. 'prune', 'NX', digits(now), field)
  elseif redis.pcall('SISMEMBER', root .. 'capped', queue) == 1 then
    write_now('ZADD', root .. 'prune', 'LT', digits(now), field)
  end
end

local function write_counts()
  for queue, states in pairs(counts) do
    for state, difference in pairs(states) do
      local field = queue .. '|' .. state
      local total = difference ~= 0 and write_now('HINCRBY', root .. 'counts', field, difference)
      if total and total <= 0 then
        write_now('HDEL', root .. 'counts', field)
      elseif total and state >= COMPLETED and difference > 0 then
        note_ended(queue, field, total == difference)
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
  write_all('MSET', nil, values)
  changed, values = {}, {}
  for queue in pairs(keyed.arrivals) do
    groups().arrive_plain(queue)
  end
  write_members()
  write_counts()
  local time = #events > 0 and digits(now)
  for i = 1, #events, 4 do
    write_now('XADD', events[i], events[i + 1], 't', time, 'n', events[i + 2], 'b', events[i + 3])
  end
  for _, command in ipairs(commands) do
    write_now(unpack(command))
  end
  write_all('UNLINK', nil, unlinked)
  events, commands, unlinked = {}, {}, {}
  if made_groups or next(keyed.ended) then
    groups().settle(keyed.ended)
    for topic in pairs(groups().woken) do
      topics[topic] = true
    end
    keyed.ended, keyed.arrivals = {}, {}
  end
  if keyed.has_bounds then keyed.bounds().write() end
  if last then write_now('SET', root .. 'last', digits(last)) end
end

-- Tells those who wait. Whoever was told must register again, so that nothing is sent to nobody.
local function publish()
  local changes, heard = {}, {}
  for topic in pairs(topics) do
    changes[#changes + 1] = topic
  end
  for from = 1, #changes, ARGUMENTS do
    local to = min(from + ARGUMENTS - 1, #changes)
    for i, is_heard in ipairs(call('SMISMEMBER', root .. 'watched', unpack(changes, from, to))) do
      if is_heard == 1 then heard[#heard + 1] = changes[from + i - 1] end
    end
  end
  if #heard > 0 then
    write_all('SREM', root .. 'watched', heard)
    write_now('PUBLISH', root .. 'news', table.concat(heard, '\n'))
  end
end

-- Writes and publishes. Nobody is kept from an answer by a hint that cannot be given.
local function done()
  flush()
  if is_watched then pcall(publish) end
end
