-- Jobs that ordered sets lead to: those that are as they should be, and what is left of those that are not.

-- The error of a job whose record cannot be read, but for its attempt and time.
local UNREADABLE_ERROR = '"message":"failed to read the stored job: its record cannot be read","kind":"fatal"}'

-- Removes what is left of a job.
local function forget_job(id)
  jobs[id] = false
  changed[id] = nil
  if keyed.is_holding then keyed.ended[id] = true end
  remove_member(root .. 'all', id)
  for _, key in pairs(LISTED) do
    remove_member(key, id)
  end
  for _, prefix in ipairs({ 'm:', 'd:', 'x:', 'e:', 't:', 'l:' }) do
    unlinked[#unlinked + 1] = root .. prefix .. id
  end
  if is_watched then topics['j' .. id] = true end
end

-- Removes a member of an ordered set whose job has no record, because somebody has taken that from under us (an eviction, a
-- hand). It counts no more where the set says its state.
local function forget_member(key, member, state)
  remove_member(key, member)
  if state then count(queue_of(member), state, -1) end
  forget_job(id_of(member))
end

-- The number of the last event that a job has written.
local function last_event_of(id)
  local found = redis.pcall('XREVRANGE', root .. 'l:' .. id, '+', '-', 'COUNT', 1)
  return found[1] and tonumber(string.match(found[1][1], '^%d+')) or 0
end

-- Ends a job as failed whose record cannot be read, so that a person can see it, and nothing meets it again. The record is
-- made anew of what is known: `state` is where the job was counted, and its claim source says its kind and version.
local function fail_damaged(key, member, state)
  local id, queue, kind, version = id_of(member), queue_of(member), '', 1
  if sources[key] then kind, version = string.match(sources[key][2], '^(.*)|(%d+)$') end
  for _, set in ipairs({ key, running_key, stopping_key }) do
    remove_member(set, member)
  end
  if LISTED[state] then remove_member(LISTED[state], id) end
  if state == RUNNING and keyed.is_holding then keyed.ended[id] = true end
  count(queue, state, -1)
  local last_event = last_event_of(id) + 1
  local job = { FAILED, now, 0, 0, 0, 0, 0, now, 0, 0, last_event, last_event, now, 2, 0, 0, 0, 0, '', '', '' }
  job[FIXED] = struct_pack('>i8i8I4i4I4i8I2c0I2c0', seq_of(member) or 0, 0, tonumber(version), 0, 0, -1,
    #queue, queue, #kind, kind) .. '\0\0\0\0\0\0' .. struct_pack('>i8', now)
  packed[id] = pack(job)
  jobs[id], members[id], damaged[id] = decode(packed[id]), member, nil
  write('DEL', root .. 'e:' .. id)
  keep_error(id, jobs[id], UNREADABLE_ERROR)
  states_left[id] = state
  index(id, jobs[id])
end

-- True where a member is of another job than the one that has its id now: that one was made anew after the record of the first was lost,
-- and stands beside it.
local function is_stray(member, job)
  return job[SEQ] ~= seq_of(member)
end

-- Reads the jobs of members of an ordered set in one go, and answers their ids.
local function read_members(found)
  local ids = {}
  for i, member in ipairs(found) do
    ids[i] = id_of(member)
  end
  read_jobs(ids)
  for i, member in ipairs(found) do
    local job = jobs[ids[i]]
    if not job or not is_stray(member, job) then members[ids[i]] = member end
  end
  return ids
end

-- The jobs of members of an ordered set that are in the state which the set is for. What is not is cleared away.
-- `counted` is the state in which a job that is only in this set was counted.
local function jobs_at(key, found, state, counted)
  local ids, there = read_members(found), {}
  for i, id in ipairs(ids) do
    local job = jobs[id]
    if damaged[id] then
      fail_damaged(key, found[i], state)
    elseif not job then
      forget_member(key, found[i], counted)
    elseif is_stray(found[i], job) then
      remove_member(key, found[i])
      if counted then count(queue_of(found[i]), counted, -1) end
    elseif job[STATE] == state then
      there[#there + 1] = id
    else
      remove_member(key, found[i])
    end
  end
  return there
end

-- The next time at which a job falls due, a wait times out, or a limit key opens; -1 for none.
local function next_change()
  local at = math.huge
  for _, key in ipairs({ scheduled_key, root .. 'waking', root .. 'opens' }) do
    at = min(at, tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or at)
  end
  return at < math.huge and at or -1
end

-- Makes at most `limit` scheduled jobs available whose time has come, and answers how many were and how many members were looked at;
-- or blocked ones whose wait is over though nothing has come, in the set of these.
local function promote(limit, set, state)
  local key = set or scheduled_key
  local found = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit)
  if #found == 0 then return 0, 0 end
  local due, promoted = jobs_at(key, found, state or SCHEDULED, state or SCHEDULED), 0
  for _, id in ipairs(due) do
    local job = jobs[id]
    if state == BLOCKED and job[WAKES] ~= 1 then
      -- A process of an older release has left it here.
      remove_member(key, member_of(id, job))
    else
      unindex(id, job)
      -- `run_at` stays: its rank counts from when it fell due, whoever noticed that and when.
      set_state(job, AVAILABLE)
      index(id, job)
      promoted = promoted + 1
    end
  end
  return promoted, #found
end
