-- Creates jobs: for the scripts that do so. `new.lua` has the form in which new jobs arrive.

-- The fields of a new job beside those that are told: no attempts, no times, and two events' numbers of 1; no log, steps,
-- errors, progress, worker nor output; and no children, or none yet. Written out, because a call that makes them costs more.
local NEW_FIELDS = '>Bi8c0c0i8i8c0i8'
local NOTHING = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
  .. struct_pack('>I4I4i8', 1, 1, now) .. '\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local NO_CHILDREN, NONE_YET = '\0\0', '\0\16\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

local function new_fields(state, run_at, children, seq, batch, fixed)
  return struct_pack(NEW_FIELDS, state, run_at, NOTHING, children, seq, batch, fixed, now)
end

-- The claim sources of this call: name -> {key, queue, lane, limit keys or '', cost as it is stored}.
local sources_named = {}

local function source_named(name)
  local source = sources_named[name]
  if not source then
    local lane, queue, keys, cost = read_source(name)
    local key = root .. 'lane|' .. lane
    sources[key] = { queue, sub(lane, #queue + 2) }
    source = { key, queue, lane, keys, cost }
    sources_named[name] = source
  end
  return source
end

-- Jobs of this call that wait for children, and are placed when it is known whether they have any.
local waiting = {}

-- Adds a job, and answers its state. Nothing is read of it: what is stored is made of what came.
local function insert(id, source_name, start, fixed, data, keys, is_dropped, dependencies)
  local delay, at, priority, flags = struct_unpack(START, start)
  local key, queue, lane, limit_keys, cost = unpack(source_named(source_name))
  local run_at, seq, waits = min(max(now + delay, at), max(now, END_OF_TIME)), draw(), bit.band(flags, WAITS) ~= 0
  local parent, more, steps = keys and keys[PARENT_ID], keys and keys[MORE], keys and keys[BROUGHT]
  local state = waits and BLOCKED or run_at > now and SCHEDULED or AVAILABLE
  if parent then add_member(root .. 'of|' .. parent, seq, id) end
  local batch = parent and join(id, seq, parent) or 0
  local tail, timed_at = '', 0
  if more then
    tail, timed_at = clashing().tail_of(more)
    if cost == '' then cost = struct_pack(COST, 1, 1) end
  end
  local fields = new_fields(state, run_at, waits and NONE_YET or NO_CHILDREN, seq, batch, fixed) .. cost .. tail
  local n = #values
  values[n + 1], values[n + 2] = root .. 'd:' .. id, data
  add_member(root .. 'all', seq, id)
  if flags % 2 == MAY_EXIST then remove_member(root .. 'gone', id) end
  if waits or is_dropped or dependencies or steps then
    local job = decode(fields)
    jobs[id] = job
    if steps then depending().bring_steps(id, job, steps) end
    if dependencies then depending().depend(id, job, dependencies) end
    if dependencies and dependencies.is_waited_for then
      job[STATE] = BLOCKED
      index(id, job)
      if dependencies.has_failed then keyed.stopping().cancel(id, job, UNMET) end
      return BLOCKED
    elseif waits then
      waiting[#waiting + 1] = id
      unplaced[id] = true
      return state
    elseif is_dropped then
      job[STATE], job[FINISHED_AT] = CANCELLED, now
      keyed.tails().set_reason(job, DROPPED)
    end
    index(id, job)
    if is_dropped and batch ~= 0 then
      local ended = #ended_jobs
      ended_jobs[ended + 1], ended_jobs[ended + 2] = id, job
    end
    return job[STATE]
  end
  local member = new_member(seq, id, queue)
  if state == AVAILABLE then
    local rank = run_at - priority * PRIORITY_STEP
    add_member(key, limit_keys == '' and rank or rank + KEYED, member)
    if limit_keys ~= '' then
      groups().add(lane, limit_keys, rank, member)
    elseif keyed.is_fair then
      keyed.arrivals[queue] = true
    end
  else
    add_member(scheduled_key, run_at, member)
    add_member(LISTED[state], seq, id)
  end
  if timed_at ~= 0 then add_member(root .. 'timed', timed_at, member) end
  if keyed.is_bounded then keyed.bounds().note(queue, limit_keys, member, 1) end
  count(queue, state, 1)
  values[n + 3], values[n + 4] = root .. 'm:' .. id, fields
  created[id], jobs[id] = fields, nil
  if is_watched then topics['q' .. queue] = true end
  if told then told[#told + 1] = { id, string.match(source_name, '|([^|]*)|'), queue, -1, state, 0, 0, false } end
  return state
end

-- Places the jobs of a call that wait for children. Those that were given none need not wait.
local function place_waiting()
  if #waiting == 0 then return end
  for _, id in ipairs(waiting) do
    local job = jobs[id]
    if unplaced[id] then
      if count_children(job, 1, 0) == 0 then wait_until(job, now) end
      index(id, job)
    end
    unplaced[id] = nil
  end
  waiting = {}
end

-- Enqueues one job. Answers false and its state where it was created, or else the id of the job that stands for it, or what else has
-- become of it and of whom. `stand_ins` are the jobs that stand for others of the same call.
local function create(id, source, start, fixed, data, is_follow_up, stand_ins)
  local keys = keys_of(start)
  local earlier = keys and keys[IDEMPOTENCY] and promised(keys[IDEMPOTENCY])
  if earlier then
    stand_ins[id] = earlier[3]
    return earlier[3]
  end
  local other, is_dropped, state = (created[id] or job_of(id) or damaged[id]) and id, false, nil
  if not other then
    local unique, more, flags, dependencies = keys and keys[UNIQUE_KEY], keys and keys[MORE], flags_of(start), nil
    if bit.band(flags, HAS_DEPENDENCIES) ~= 0 then data, dependencies = depending().look(data, stand_ins, keys and keys[PARENT_ID]) end
    local holder = unique and holder_of(unique)
    if holder or keyed.is_bounded then
      local is_blocked = bit.band(flags, WAITS) ~= 0 or dependencies and dependencies.is_waited_for
      local followed
      other, is_dropped, followed = clashing().meet(keys, holder, source, start, data, is_follow_up or is_blocked)
      -- That may have ended one of the dependencies.
      if not other and (dependencies or followed) then
        data, dependencies = depending().look(data, stand_ins, keys and keys[PARENT_ID], followed)
      end
    end
    if not other then
      if unique then new_data[id] = data end
      if unique and not is_dropped then
        hold(unique, id, more and more[HOLD_FOR] and min(now + more[HOLD_FOR], END_OF_TIME) or 0)
      end
      state = insert(id, source, start, fixed, data, keys, is_dropped, dependencies)
    end
  end
  if type(other) == 'string' and other ~= id then stand_ins[id] = other end
  if keys and keys[IDEMPOTENCY] then
    -- A request that was refused may be made again, and then be granted.
    local stands = type(other) ~= 'table' and (other or id) or other[1] == 'replaced' and other[2]
    if stands then promise(keys, stands) end
  end
  return other, state
end
