-- Unique keys: which job holds one, and until when.

-- Holds as this script leaves them: unique key -> 'expiry|id', or false where it is free.
local holds = {}

-- The expiry of a unique key and the id that it belongs to; nothing where it is free.
local function hold_of(key)
  if holds[key] == nil then holds[key] = call('HGET', root .. 'unique', key) end
  if not holds[key] then return nil end
  local expires_at, id = string.match(holds[key], '^(%d+)|(.*)$')
  return tonumber(expires_at), id
end

-- The job that holds a unique key. One whose record is lost holds nothing, nor does one that has ended and whose hold has no
-- expiry: its record was damaged when it ended.
local function holder_of(key)
  local expires_at, id = hold_of(key)
  if not id or (expires_at ~= 0 and expires_at <= now) then return false end
  local job = job_of(id)
  return job and (expires_at ~= 0 or job[STATE] < COMPLETED) and id
end

local function hold(key, id, expires_at)
  holds[key] = digits(expires_at) .. '|' .. id
  write('HSET', root .. 'unique', key, holds[key])
  if expires_at > 0 and expires_at < END_OF_TIME then write('ZADD', root .. 'forget', digits(expires_at), 'u' .. key) end
end

-- Frees the unique key of a job, where it is the job's.
local function free_key(id, job)
  if job[UNIQUE] == '' then return end
  local _, holder = hold_of(job[UNIQUE])
  if holder == id then
    holds[job[UNIQUE]] = false
    write('HDEL', root .. 'unique', job[UNIQUE])
  end
end

-- Settles the unique key of a job that has ended: it goes back to the job that this one follows, is held on for as long as the job
-- says, or is free. Where it was given to another
-- job, or is held until a time whatever becomes of this one, nothing happens to it.
local function settle_key(id, job)
  if job[UNIQUE] == '' then return end
  local held_until, _, holder = keyed.held_after(job), hold_of(job[UNIQUE])
  -- Also where the one that it was given to has ended meanwhile, and the key is free.
  if holder ~= id then return end
  local followed = (job[BEHIND] or '') ~= '' and job_of(job[BEHIND])
  -- One made anew under the old id may have another key.
  if followed and followed[STATE] < COMPLETED and followed[UNIQUE] == job[UNIQUE] then
    return hold(job[UNIQUE], job[BEHIND], followed[HELD_UNTIL] or 0)
  end
  if not held_until then
    free_key(id, job)
  elseif (job[HELD_UNTIL] or 0) == 0 then
    hold(job[UNIQUE], id, held_until)
  end
end
