-- The packed keys of new jobs, and idempotency keys: which request was the first with one.

-- Idempotency keys as this script leaves them: key -> {expiry, fingerprint, id}, or false.
local promises = {}

local function keys_of(start)
  return #start > START_BYTES and cmsgpack.unpack(sub(start, START_BYTES + 1))
end

local function flags_of(start)
  return string.byte(start, START_BYTES)
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
