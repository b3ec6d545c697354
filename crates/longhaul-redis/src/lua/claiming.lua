-- How jobs are given to workers: shared by all scripts that do so.

-- Due jobs that one claim promotes. There may be more; then the claim says that the next is due at once.
local PROMOTED_AT_ONCE = 500
-- Jobs that are read in one go.
local CLAIMED_AT_ONCE = 500
-- How often a claim looks for more where it does not get all it wants.
local LOOKS = 100

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

-- Whether any limit key is paused: only then does a claim look at what does not change of a job. Asked when a claim
-- begins, for the finishes of the same turn may have paused one.
local function has_pauses()
  return call('EXISTS', root .. 'paused') == 1
end

local function pause_of(job)
  if know(job)[LIMIT_KEY] == '' then return false end
  local ends_at = tonumber(call('ZSCORE', root .. 'paused', job[LIMIT_KEY]) or 0)
  return ends_at > now and ends_at
end

-- Those of the members, which have left their lane already, whose limit keys are not paused. The others are met once, and
-- not again before their pause is over.
local function without_paused(found, queue)
  local ids, free = read_members(found), {}
  for i, id in ipairs(ids) do
    local job = jobs[id]
    local ends_at = job and job[STATE] == AVAILABLE and pause_of(job)
    if ends_at then
      count(queue, AVAILABLE, -1)
      wait_until(job, ends_at)
      settle(id, job)
    else
      free[#free + 1] = found[i]
    end
  end
  return free
end

-- Makes jobs of one queue run, which have left their lane already, and answers for each its id, fields, data and steps. What
-- does not change of them is not even read, and no table is made of what does: this is done for every job there is.
local function take(found, queue, worker, lease_until)
  local many, ids, keys = #found, {}, {}
  for i, member in ipairs(found) do
    local id = id_of(member)
    ids[i], keys[i], keys[many + i] = id, root .. 'm:' .. id, root .. 'd:' .. id
  end
  local read = many > 0 and call('MGET', unpack(keys)) or {}
  local running, there = list_of(added, running_key), {}
  local n, v, until_text = #running, #values, digits(lease_until)
  for i, id in ipairs(ids) do
    local fields, data = read[i], read[many + i]
    if fields and data then
      local state, run_at, attempt, crashes, interruptions, _, _, finished_at, _, _, last_event, _, _, log, steps, errors,
        progress, output_at, _, output, children, at = struct_unpack(CHANGING, fields)
      if state == AVAILABLE then
        attempt, last_event = attempt + 1, last_event + 1
        -- Tells readers to drop what earlier attempts wrote, where they wrote anything since they were last told.
        if log == 2 then
          write_event(id, last_event, attempt, '"reset"')
          log, last_event = 1, last_event + 1
        end
        fields = struct_pack(CHANGING_AND_REST, RUNNING, run_at, attempt, crashes, interruptions, draw(), now, finished_at,
          lease_until, 0, last_event, last_event, now, log, steps, errors, progress, output_at, #worker, worker, #output,
          output, #children, children, sub(fields, at))
        running[n + 1], running[n + 2] = until_text, found[i]
        values[v + 1], values[v + 2] = keys[i], fields
        n, v = n + 2, v + 2
        if is_watched then topics['j' .. id] = true end
        there[#there + 1] = { id, fields, data, steps }
      end
    else
      -- Its data has been taken from under us; what is left of it goes, too.
      count(queue, AVAILABLE, -1)
      drop(id)
    end
  end
  count(queue, AVAILABLE, -#there)
  count(queue, RUNNING, #there)
  return there
end

-- Gives jobs to a worker. `wanted` is packed: worker, lease_for, {{queue, slots}}, {{kind, version}}, whether it waits.
-- Answers the time; when the next job falls due or -1; 1 where nothing was found so far and there is more to look at; and
-- for each job its id, fields, data and steps.
local function claim(wanted)
  local worker, lease_for, queues, kinds, waits = unpack(cmsgpack.unpack(wanted))
  if promote(PROMOTED_AT_ONCE) > 0 then flush() end
  local claimed, looks = {}, 0
  for _, queue in ipairs(queues) do
    local name, slots = queue[1], queue[2]
    while slots > 0 and looks < LOOKS do
      local asked = math.min(slots, CLAIMED_AT_ONCE)
      local found = take_first(name, asked, kinds)
      local free = has_pauses() and without_paused(found, name) or found
      local there = take(free, name, worker, now + lease_for)
      for _, job in ipairs(there) do
        claimed[#claimed + 1] = job
      end
      slots = slots - #there
      if #found < asked then break end
      -- There may be more: of what was found, some is paused, or is without its data.
      looks = looks + 1
    end
  end
  local next_due, more = -1, #claimed == 0 and looks == LOOKS and 1 or 0
  done()
  if #claimed == 0 and waits then
    for _, queue in ipairs(queues) do
      call('SADD', root .. 'watched', 'q' .. queue[1])
    end
    local first = call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
    next_due = first[2] and tonumber(first[2]) or -1
  end
  local answer, n = { now, next_due, more }, 3
  for _, job in ipairs(claimed) do
    local id = job[1]
    answer[n + 1], answer[n + 2], answer[n + 3] = id, job[2], job[3]
    answer[n + 4] = job[4] > 0 and call('HGETALL', root .. 't:' .. id) or false
    n = n + 4
  end
  return answer
end
