-- How jobs are given to workers: shared by all scripts that do so.

-- Due jobs that one claim promotes. There may be more; then the claim says that the next is due at once.
local PROMOTED_AT_ONCE = 500

-- The first jobs of a queue, at most `slots`, in the order in which they are claimed. Each kind and version is looked up by
-- itself, because kinds that the worker does not know may stand before those that it does, in any number.
local function first_of(queue, slots, kinds)
  local found, sources = {}, 0
  for _, kind in ipairs(kinds) do
    for version = 1, kind[2] do
      local key = lane_of(queue, kind[1], version)
      local lane = call('ZRANGE', key, 0, slots - 1, 'WITHSCORES')
      if #lane > 0 then sources = sources + 1 end
      for i = 1, #lane, 2 do
        found[#found + 1] = { lane[i], tonumber(lane[i + 1]), key }
      end
    end
  end
  if sources > 1 then
    table.sort(found, function(a, b)
      if a[2] ~= b[2] then return a[2] < b[2] end
      return a[1] < b[1]
    end)
  end
  for i = #found, slots + 1, -1 do
    found[i] = nil
  end
  return found
end

-- Those of the found that are whole; what is left of the others is cleared away.
local function whole(found)
  local ids, there = {}, {}
  for i, candidate in ipairs(found) do
    ids[i] = id_of(candidate[1])
    members[ids[i]] = candidate[1]
  end
  read_jobs(ids)
  for i, data in ipairs(read_all('d:', ids)) do
    local id, job = ids[i], jobs[ids[i]]
    if job and data and job[STATE] == AVAILABLE then
      there[#there + 1] = { id, data }
    elseif job and data then
      place(found[i][3], found[i][1], false)
    else
      bury(found[i][3], found[i][1], AVAILABLE)
    end
  end
  return there
end

local function take(id, job, worker, lease_for)
  leave(id, job)
  job[TOKEN] = draw()
  job[ATTEMPT] = job[ATTEMPT] + 1
  job[WORKER] = worker
  job[STARTED_AT] = now
  job[LEASE_UNTIL] = now + lease_for
  -- Tells readers to drop what earlier attempts wrote, where they wrote anything since they were last told.
  if job[LOG] == 2 then
    log(id, job, '"reset"')
    job[LOG] = 1
  end
  enter(job, RUNNING)
  settle(id, job)
end

-- Gives jobs to a worker. `wanted` is packed: worker, lease_for, {{queue, slots}}, {{kind, version}}, whether it waits.
-- Answers the time, when the next job falls due or -1, and for each job its id, fields, data and steps.
local function claim(wanted)
  local worker, lease_for, queues, kinds, waits = unpack(cmsgpack.unpack(wanted))
  if promote(PROMOTED_AT_ONCE) > 0 then flush() end
  local taken = {}
  for _, queue in ipairs(queues) do
    local name, slots = queue[1], queue[2]
    while slots > 0 do
      local found = first_of(name, slots, kinds)
      local there = whole(found)
      for _, candidate in ipairs(there) do
        take(candidate[1], jobs[candidate[1]], worker, lease_for)
        taken[#taken + 1] = candidate
      end
      slots = slots - #there
      -- Jobs whose data is gone stood in the way of others only once.
      if #there == #found then break end
      flush()
    end
  end
  local next_due = -1
  if #taken == 0 and waits then
    for _, queue in ipairs(queues) do
      call('SADD', root .. 'watched', 'q' .. queue[1])
    end
    local first = call('ZRANGE', root .. 'scheduled', 0, 0, 'WITHSCORES')
    next_due = first[2] and tonumber(first[2]) or -1
  end
  done()
  local answer = { now, next_due }
  for _, candidate in ipairs(taken) do
    local id = candidate[1]
    answer[#answer + 1] = id
    answer[#answer + 1] = packed[id]
    answer[#answer + 1] = candidate[2]
    answer[#answer + 1] = jobs[id][STEPS] > 0 and call('HGETALL', root .. 't:' .. id) or false
  end
  return answer
end
