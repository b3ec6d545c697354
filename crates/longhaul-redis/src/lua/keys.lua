-- Unique keys: who holds them, and until when.

-- The job that holds a unique key. One whose data has been taken from under us holds nothing.
local function holder_of(key)
  local hold = call('HGET', root .. 'unique', key)
  if not hold then return false end
  local bar = find(hold, '|', 1, true)
  local expires_at, id = tonumber(sub(hold, 1, bar - 1)), sub(hold, bar + 1)
  if expires_at ~= 0 and expires_at <= now then return false end
  return (created[id] or job_of(id)) and id
end

local function hold(key, id, expires_at)
  call('HSET', root .. 'unique', key, digits(expires_at) .. '|' .. id)
  if expires_at > 0 then call('ZADD', root .. 'forget', expires_at, 'u' .. key) end
end

-- Frees a job's unique key, where it is the job's.
local function free_key(id, job)
  if know(job)[UNIQUE] == '' then return end
  local held = call('HGET', root .. 'unique', job[UNIQUE])
  if held and sub(held, find(held, '|', 1, true) + 1) == id then
    call('HDEL', root .. 'unique', job[UNIQUE])
  end
end

-- A job has ended: its unique key outlives only a completion, and that only for its period.
local function let_go(id, job)
  if know(job)[UNIQUE] == '' then return end
  if job[STATE] == COMPLETED and job[PERIOD] >= 0 then
    hold(job[UNIQUE], id, now + job[PERIOD])
  else
    free_key(id, job)
  end
end
