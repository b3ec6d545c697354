-- How jobs are created: shared by all scripts that do so.
--
-- A new job is
--   its id,
--   its lane: 'queue|kind|version',
--   its start, packed: how long it waits, a time of day before which it must not run, its priority, whether its id may
--   exist already (1) or was drawn just now (0), and after these its packed keys, if any,
--   what does not change of it between its seq and its time of creation, as it is stored,
--   its data.
local START = '>i8i8i4B'
local START_BYTES = 21

-- What a caller says of a job's keys: its idempotency key, false for none, and the request's digest; how long the two are
-- remembered; its unique key, false for none.
local IDEMPOTENCY, FINGERPRINT, KEEP_FOR, UNIQUE_KEY = 1, 2, 3, 4

-- The rest of a new job's fields: no attempts, no times, and two events' numbers of 1; no log, steps, errors, progress,
-- output, nor worker.
local NOTHING_YET = string.rep('\0', 3 * 4 + 5 * 8) .. struct.pack('>I4I4', 1, 1)
local NOTHING_KEPT = string.rep('\0', 1 + 4 + 1 + 1 + 1 + 2 + 4)
local created_at = struct.pack('>i8', now)

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
  if not holder then hold(unique, id, 0) end
  return holder
end

-- Adds a job. Nothing is read of it: what is stored is made of what came.
local function insert(id, lane_name, start, fixed, data)
  local delay, at, priority, may_exist = struct.unpack(START, start)
  local lane = lane_named(lane_name)
  local key, queue = lane[1], lane[2]
  local run_at, seq = math.max(now + delay, at), draw()
  local state = run_at > now and SCHEDULED or AVAILABLE
  local member = new_member(seq, id, queue)
  if state == AVAILABLE then
    put(key, run_at - priority * PRIORITY_STEP, member)
  else
    put(scheduled_key, run_at, member)
    put(LISTED[state], seq, id)
  end
  put(root .. 'all', seq, id)
  if may_exist == 1 then take_out(root .. 'gone', id) end
  count(queue, state, 1)
  local n = #values
  values[n + 1] = root .. 'm:' .. id
  values[n + 2] = struct.pack('>Bi8', state, run_at) .. NOTHING_YET .. created_at .. NOTHING_KEPT
    .. struct.pack('>i8', seq) .. fixed .. created_at
  values[n + 3], values[n + 4] = root .. 'd:' .. id, data
  created[id], jobs[id] = true, nil
  if is_watched then topics['q' .. queue] = true end
end

-- Enqueues one job: false where it was created, or else the id of the job that stands for it.
local function create(id, lane, start, fixed, data)
  local keys = keys_of(start)
  local earlier = keys and keys[IDEMPOTENCY] and promised(keys[IDEMPOTENCY])
  if earlier then return earlier[3] end
  local other = stands_for(id, keys)
  if not other then insert(id, lane, start, fixed, data) end
  if keys and keys[IDEMPOTENCY] then promise(keys, other or id) end
  return other
end
