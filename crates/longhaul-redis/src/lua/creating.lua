-- How jobs are created: shared by all scripts that do so.

-- What a caller says of a job besides its fields: its idempotency key and the request's digest, how long the two are
-- remembered, and what is to happen where its unique key is held.
local IDEMPOTENCY, FINGERPRINT, KEEP_FOR = 1, 2, 3

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

-- Adds a job whose id and unique key may be taken: answers the id of the job that stands for it.
local function insert(id, job, data)
  if job_of(id) then return id end
  if job[UNIQUE] then
    local holder = holder_of(job[UNIQUE])
    if holder then return holder end
    hold(job[UNIQUE], id, 0)
  end
  -- What came in is a delay in one field and a time of day in the other.
  local run_at = math.max(now + job[RUN_AT], job[STATE_AT])
  job[SEQ] = draw()
  job[CREATED_AT], job[RUN_AT], job[STATE_AT] = now, run_at, now
  job[STATE] = run_at > now and SCHEDULED or AVAILABLE
  jobs[id] = job
  values[root .. 'd:' .. id] = data
  place(root .. 'all', id, job[SEQ])
  place(root .. 'gone', id, false)
  settle(id, job)
  return false
end

-- Enqueues one job: false where it was created, or else the id of the job that stands for it.
local function create(id, job, data, keys)
  local earlier = keys and keys[IDEMPOTENCY] and promised(keys[IDEMPOTENCY])
  if earlier then return earlier[3] end
  local other = insert(id, job, data)
  if keys and keys[IDEMPOTENCY] then promise(keys, other or id) end
  return other
end
