-- How jobs are created: shared by all scripts that do so. `new.lua` says what a new job is.

-- What a caller says of a job's keys, each of which may be false: its idempotency key and the request's digest, and how
-- long the two are remembered; its unique key, and whether it takes that from a job that has ended; its parent.
local IDEMPOTENCY, FINGERPRINT, KEEP_FOR, UNIQUE_KEY, REFRESHES, PARENT_ID = 1, 2, 3, 4, 5, 6

-- The lanes that this call knows: name -> {key, queue}.
local lanes_named = {}

local function keys_of(start)
  return #start > START_BYTES and cmsgpack.unpack(sub(start, START_BYTES + 1))
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

-- How the first request with an idempotency key was answered, where that is still remembered.
local function promised(key)
  local promise = call('HGET', root .. 'promises', key)
  if not promise then return false end
  promise = cmsgpack.unpack(promise)
  return promise[1] > now and promise
end

local function promise(keys, id)
  local expires_at = now + keys[KEEP_FOR]
  call('HSET', root .. 'promises', keys[IDEMPOTENCY], cmsgpack.pack({ expires_at, keys[FINGERPRINT], id }))
  call('ZADD', root .. 'forget', expires_at, 'i' .. keys[IDEMPOTENCY])
end

-- Whether a job's idempotency key stands for another request. `first` knows the keys of this very call.
local function is_reused(keys, first)
  if not keys or not keys[IDEMPOTENCY] then return false end
  local key = keys[IDEMPOTENCY]
  if not first[key] then
    local earlier = promised(key)
    first[key] = earlier and earlier[2] or keys[FINGERPRINT]
  end
  return first[key] ~= keys[FINGERPRINT]
end

-- Who stands for a job that is not to be created: itself, if it exists, or who holds its unique key.
local function stands_for(id, keys)
  if created[id] or job_of(id) then return id end
  local unique = keys and keys[UNIQUE_KEY]
  if not unique then return false end
  local holder = holder_of(unique)
  if holder and keys[REFRESHES] and not created[holder] and job_of(holder)[STATE] >= COMPLETED then holder = false end
  if not holder then hold(unique, id, 0) end
  return holder
end

-- Jobs of this call that wait for children, and are placed when it is known whether they have any.
local waiting = {}

-- Counts a new job among the children of its parent, where that one still waits for them. Answers the parent's seq, or 0.
local function join(id, seq, parent)
  put(root .. 'of|' .. parent, seq, id)
  local batch = open_batch(parent)
  if not batch then return 0 end
  count_children(batch, 1, 1)
  tell(parent, batch)
  return know(batch)[SEQ]
end

-- Adds a job. Nothing is read of it: what is stored is made of what came.
local function insert(id, lane_name, start, fixed, data, parent)
  local delay, at, priority, flags = struct_unpack(START, start)
  local lane = lane_named(lane_name)
  local key, queue = lane[1], lane[2]
  local run_at, seq, waits = max(now + delay, at), draw(), flags >= WAITS
  local state = waits and BLOCKED or run_at > now and SCHEDULED or AVAILABLE
  local batch = parent and join(id, seq, parent) or 0
  local fields = new_fields(state, run_at, waits and NONE_YET or NO_CHILDREN, seq, batch, fixed)
  local n = #values
  values[n + 1], values[n + 2] = root .. 'd:' .. id, data
  put(root .. 'all', seq, id)
  if flags % 2 == MAY_EXIST then take_out(root .. 'gone', id) end
  if waits then
    jobs[id] = unpack_job(fields)
    waiting[#waiting + 1] = id
    return
  end
  local member = new_member(seq, id, queue)
  if state == AVAILABLE then
    put(key, run_at - priority * PRIORITY_STEP, member)
  else
    put(scheduled_key, run_at, member)
    put(LISTED[state], seq, id)
  end
  count(queue, state, 1)
  values[n + 3], values[n + 4] = root .. 'm:' .. id, fields
  created[id], jobs[id] = true, nil
  if is_watched then topics['q' .. queue] = true end
end

-- Places the jobs of a call that wait for children. Those that were given none need not wait.
local function place_waiting()
  if #waiting == 0 then return end
  for _, id in ipairs(waiting) do
    local job = jobs[id]
    if count_children(job, 1, 0) == 0 then wait_until(job, now) end
    settle(id, job)
  end
  waiting = {}
end

-- Enqueues one job: false where it was created, or else the id of the job that stands for it.
local function create(id, lane, start, fixed, data)
  local keys = keys_of(start)
  local earlier = keys and keys[IDEMPOTENCY] and promised(keys[IDEMPOTENCY])
  if earlier then return earlier[3] end
  local other = stands_for(id, keys)
  if not other then insert(id, lane, start, fixed, data, keys and keys[PARENT_ID]) end
  if keys and keys[IDEMPOTENCY] then promise(keys, other or id) end
  return other
end
