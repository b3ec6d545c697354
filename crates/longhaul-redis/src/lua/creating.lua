-- Creates jobs: for the scripts that do so. `new.lua` has the form in which new jobs arrive.

-- The claim sources of this call: name -> {key, queue, lane, limit keys or '', cost as it is stored}.
local sources_named = {}
-- Idempotency keys as this script leaves them: key -> {expiry, fingerprint, id}, or false.
local promises = {}

local function keys_of(start)
  return #start > START_BYTES and cmsgpack.unpack(sub(start, START_BYTES + 1))
end

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

-- The first request with an idempotency key, where that is still remembered.
local function promised(key)
  if promises[key] == nil then
    local stored = call('HGET', root .. 'promises', key)
    local is_ours, promise = pcall(cmsgpack.unpack, stored or '')
    promises[key] = stored and is_ours and type(promise) == 'table' and tonumber(promise[1]) and promise or false
  end
  local promise = promises[key]
  return promise and promise[1] > now and promise
end

local function promise(keys, id)
  local key, expires_at = keys[IDEMPOTENCY], now + keys[KEEP_FOR]
  promises[key] = { expires_at, keys[FINGERPRINT], id }
  write('HSET', root .. 'promises', key, cmsgpack.pack(promises[key]))
  write('ZADD', root .. 'forget', expires_at, 'i' .. key)
end

-- True where the idempotency key of a job stands for another request. `first` has the keys of this very call.
local function is_reused(keys, first)
  if not keys or not keys[IDEMPOTENCY] then return false end
  local key = keys[IDEMPOTENCY]
  if not first[key] then
    local earlier = promised(key)
    first[key] = earlier and earlier[2] or keys[FINGERPRINT]
  end
  return first[key] ~= keys[FINGERPRINT]
end

-- Jobs of this call that wait for children, and are placed when it is known whether they have any.
local waiting = {}

-- Counts a new job among the children of its parent, where that one still waits for them. Answers the parent's seq, or 0.
local function join(id, seq, parent)
  add_member(root .. 'of|' .. parent, seq, id)
  local batch = open_batch(parent)
  if not batch then return 0 end
  count_children(batch, 1, 1)
  repeat_state(parent, batch)
  return batch[SEQ]
end

-- Adds a job, and answers its state. Nothing is read of it: what is stored is made of what came.
local function insert(id, source_name, start, fixed, data, parent, more, is_dropped)
  local delay, at, priority, flags = struct_unpack(START, start)
  local key, queue, lane, limit_keys, cost = unpack(source_named(source_name))
  local run_at, seq, waits = min(max(now + delay, at), max(now, END_OF_TIME)), draw(), flags >= WAITS
  local state = waits and BLOCKED or run_at > now and SCHEDULED or AVAILABLE
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
  if waits then
    jobs[id] = decode(fields)
    waiting[#waiting + 1] = id
    unplaced[id] = true
    return state
  end
  if is_dropped then
    jobs[id] = decode(fields)
    jobs[id][STATE], jobs[id][FINISHED_AT] = CANCELLED, now
    tails().set_reason(jobs[id], DROPPED)
    if batch ~= 0 then ended_children[#ended_children + 1] = jobs[id] end
    index(id, jobs[id])
    return CANCELLED
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
  if timed_at ~= 0 then add_member(timed_key, timed_at, member) end
  if keyed.is_bounded then bounds().note(queue, limit_keys, member, 1) end
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
-- become of it and of whom.
local function create(id, source, start, fixed, data, is_follow_up)
  local keys = keys_of(start)
  local earlier = keys and keys[IDEMPOTENCY] and promised(keys[IDEMPOTENCY])
  if earlier then return earlier[3] end
  local other, is_dropped, state = (created[id] or job_of(id) or damaged[id]) and id, false, nil
  if not other then
    local unique, more = keys and keys[UNIQUE_KEY], keys and keys[MORE]
    local holder = unique and holder_of(unique)
    if holder or keyed.is_bounded then
      other, is_dropped = clashing().meet(keys, holder, source, start, data, is_follow_up)
    end
    if not other then
      if unique then new_data[id] = data end
      if unique and not is_dropped then
        hold(unique, id, more and more[HOLD_FOR] and min(now + more[HOLD_FOR], END_OF_TIME) or 0)
      end
      state = insert(id, source, start, fixed, data, keys and keys[PARENT_ID], more, is_dropped)
    end
  end
  if keys and keys[IDEMPOTENCY] then
    -- A request that was refused may be made again, and then be granted.
    local stands = type(other) ~= 'table' and (other or id) or other[1] == 'replaced' and other[2]
    if stands then promise(keys, stands) end
  end
  return other, state
end
