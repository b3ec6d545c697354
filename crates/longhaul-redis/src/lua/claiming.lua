-- How jobs are given to workers: shared by all scripts that do so.

-- Due jobs that one claim promotes. There may be more; then the claim says that the next is due at once.
local PROMOTED_AT_ONCE = 500
-- Jobs that are read in one go.
local CLAIMED_AT_ONCE = 500

-- The first members of several lanes together, and how many of each lane are among them.
local function merge(sources, slots)
  local all, first, many = {}, {}, {}
  for _, key in ipairs(sources) do
    local found = call('ZRANGE', key, 0, slots - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      all[#all + 1] = { found[i], tonumber(found[i + 1]), key }
    end
  end
  table.sort(all, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  for i = 1, math.min(slots, #all) do
    local key = all[i][3]
    first[i], many[key] = all[i][1], (many[key] or 0) + 1
  end
  return first, many
end

-- Takes the first jobs of a queue out of their lanes, at most `slots`, and answers their members in the order in which they
-- are claimed. Each kind and version is looked up by itself, because kinds that the worker does not know may stand before
-- those that it does, in any number.
local function take_first(queue, slots, kinds)
  local sources, first = {}, nil
  for _, kind in ipairs(kinds) do
    for version = 1, kind[2] do
      local key = lane_of(queue, kind[1], version)
      local found = call('ZRANGE', key, 0, slots - 1)
      if #found > 0 then
        sources[#sources + 1] = key
        first = first or found
      end
    end
  end
  if #sources == 0 then return {} end
  local many = { [sources[1]] = #first }
  if #sources > 1 then first, many = merge(sources, slots) end
  for key, count_of in pairs(many) do
    call('ZREMRANGEBYRANK', key, 0, count_of - 1)
    -- Whether the lane is empty now is looked at when all is written.
    taken[key] = taken[key] or {}
  end
  return first
end

-- Those of the members whose jobs are whole, as ids and data; what is left of the others is cleared away.
local function whole(found)
  local ids, keys, there = {}, {}, {}
  for i, member in ipairs(found) do
    local id = id_of(member)
    ids[i], members[id] = id, member
    keys[i], keys[#found + i] = root .. 'm:' .. id, root .. 'd:' .. id
  end
  local read = #keys > 0 and call('MGET', unpack(keys)) or {}
  for i, id in ipairs(ids) do
    local fields, data = read[i], read[#found + i]
    if fields and data then
      local job = jobs[id] or unpack_job(fields)
      if job[STATE] == AVAILABLE then
        jobs[id] = job
        there[#there + 1] = { id, data }
      end
    else
      count(queue_of(found[i]), AVAILABLE, -1)
      drop(id)
    end
  end
  return there
end

local function take(id, job, queue, worker, lease_for)
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
  -- It has left its lane already, and its queue is known: there is no need to read what does not change of it.
  put(running_key, job[LEASE_UNTIL], members[id])
  count(queue, AVAILABLE, -1)
  count(queue, RUNNING, 1)
  touch(id)
end

-- Gives jobs to a worker. `wanted` is packed: worker, lease_for, {{queue, slots}}, {{kind, version}}, whether it waits.
-- Answers the time, when the next job falls due or -1, and for each job its id, fields, data and steps.
local function claim(wanted)
  local worker, lease_for, queues, kinds, waits = unpack(cmsgpack.unpack(wanted))
  if promote(PROMOTED_AT_ONCE) > 0 then flush() end
  local claimed = {}
  for _, queue in ipairs(queues) do
    local name, slots = queue[1], queue[2]
    while slots > 0 do
      local asked = math.min(slots, CLAIMED_AT_ONCE)
      local found = take_first(name, asked, kinds)
      local there = whole(found)
      for _, candidate in ipairs(there) do
        local id = candidate[1]
        take(id, jobs[id], name, worker, lease_for)
        claimed[#claimed + 1] = candidate
      end
      slots = slots - #there
      -- Otherwise there may be more: jobs whose data is gone stood in the way of others only once.
      if #found < asked then break end
    end
  end
  local next_due = -1
  if #claimed == 0 and waits then
    for _, queue in ipairs(queues) do
      call('SADD', root .. 'watched', 'q' .. queue[1])
    end
    local first = call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
    next_due = first[2] and tonumber(first[2]) or -1
  end
  done()
  local answer = { now, next_due }
  for _, candidate in ipairs(claimed) do
    local id = candidate[1]
    answer[#answer + 1] = id
    answer[#answer + 1] = packed[id]
    answer[#answer + 1] = candidate[2]
    answer[#answer + 1] = jobs[id][STEPS] > 0 and call('HGETALL', root .. 't:' .. id) or false
  end
  return answer
end
