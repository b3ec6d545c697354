-- What is left of jobs that others have taken away, and the jobs that ordered sets lead to.

-- Forgets what is left of a job.
local function drop(id)
  jobs[id] = false
  changed[id] = nil
  take_out(root .. 'all', id)
  for _, key in pairs(LISTED) do
    take_out(key, id)
  end
  for _, kind in ipairs({ 'm:', 'd:', 'x:', 'e:', 't:', 'l:' }) do
    doomed[#doomed + 1] = root .. kind .. id
  end
  if is_watched then topics['j' .. id] = true end
end

-- A member of an ordered set whose job's data somebody has taken from under us (an eviction, a hand): the rest of it
-- goes too, and counts no more where the set says its state.
local function bury(key, member, state)
  take_out(key, member)
  if state then count(queue_of(member), state, -1) end
  drop(id_of(member))
end

-- Reads the jobs of members of an ordered set in one go, and answers their ids.
local function read_members(found)
  local ids = {}
  for i, member in ipairs(found) do
    ids[i] = id_of(member)
    members[ids[i]] = member
  end
  read_jobs(ids)
  return ids
end

-- The jobs of members of an ordered set that are in the state which the set is for. What is not is cleared away.
-- `counted` is the state in which a job that is only in this set was counted.
local function jobs_at(key, found, state, counted)
  local ids, there = read_members(found), {}
  for i, id in ipairs(ids) do
    local job = jobs[id]
    if not job then
      bury(key, found[i], counted)
    elseif job[STATE] == state then
      there[#there + 1] = id
    else
      take_out(key, found[i])
    end
  end
  return there
end

-- Makes at most `limit` scheduled jobs available whose time has come, and says how many there were.
local function promote(limit)
  local found = call('ZRANGEBYSCORE', scheduled_key, '-inf', now, 'LIMIT', 0, limit)
  if #found == 0 then return 0 end
  local due = jobs_at(scheduled_key, found, SCHEDULED, SCHEDULED)
  for _, id in ipairs(due) do
    local job = jobs[id]
    leave(id, job)
    -- `run_at` stays: its rank counts from when it fell due, whoever noticed that and when.
    enter(job, AVAILABLE)
    settle(id, job)
  end
  return #due
end
