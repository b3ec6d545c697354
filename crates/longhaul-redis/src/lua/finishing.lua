-- How runs are ended: shared by all scripts that do so.

-- How many runs of a queue were completed briefly.
local completed = {}

local function keep_output(id, job, output)
  if #output <= SHORT_OUTPUT then
    job[OUTPUT_AT], job[OUTPUT] = 1, output
  else
    call('HSET', root .. 'x:' .. id, 'output', output)
    job[OUTPUT_AT] = 2
  end
end

-- What becomes of a run that would be followed by another: nothing, where somebody has asked it to stop.
local function cancel_instead(id, job, error)
  if error then keep_error(id, job, error) end
  enter(job, CANCELLED)
end

-- An outcome is its letter, and what it says: an output, the rest of an error in JSON, a delay.
local outcomes = {
  completed = function(id, job, output)
    keep_output(id, job, output)
    -- A completed job that is retried by hand begins from nothing.
    if job[STEPS] > 0 then
      doomed[#doomed + 1] = root .. 't:' .. id
      job[STEPS] = 0
    end
    enter(job, COMPLETED)
  end,
  failed = function(id, job, error)
    keep_error(id, job, error)
    enter(job, FAILED)
  end,
  cancelled = function(id, job, error)
    keep_error(id, job, error)
    enter(job, CANCELLED)
  end,
  retry = function(id, job, error, delay)
    if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, error) end
    keep_error(id, job, error)
    wait_until(job, now + delay)
  end,
  -- `stopped` is the error of a job that was asked to stop.
  snoozed = function(id, job, stopped, delay)
    if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, stopped) end
    give_attempt_back(job)
    wait_until(job, now + delay)
  end,
  -- A snooze, and one for all jobs of its limit key, to which an earlier run may have told a later end.
  limited = function(id, job, stopped, delay)
    local key, run_at = know(job)[LIMIT_KEY], now + delay
    if key ~= '' then
      run_at = math.max(run_at, tonumber(call('ZSCORE', root .. 'paused', key) or 0))
      call('ZADD', root .. 'paused', digits(run_at), key)
    end
    if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, stopped) end
    give_attempt_back(job)
    wait_until(job, run_at)
  end,
  released = function(id, job, stopped)
    if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, stopped) end
    give_attempt_back(job)
    job[INTERRUPTIONS] = job[INTERRUPTIONS] + 1
    -- It keeps its `run_at`, and with it its place: what was begun goes before what was not.
    enter(job, AVAILABLE)
  end,
}

-- Ends one run: {id, token, outcome, what it says, delay, entries, {new job}}, the last two of which may be false.
local function finish(end_of_run)
  local id, token, outcome, said, delay, entries, follow_ups = unpack(end_of_run)
  local job = leased(id, token)
  if not job then return LOST end
  local status = lease_status(job)
  leave(id, job)
  if entries then add_entries(id, job, entries) end
  outcomes[outcome](id, job, said, delay)
  if job[STATE] >= COMPLETED then ends(id, job) end
  settle(id, job)
  -- The unique key is settled by now, so that a job may be followed by one of its own key.
  if follow_ups and job[STATE] == COMPLETED then
    for _, next in ipairs(follow_ups) do
      if not is_reused(keys_of(next[3]), {}) then create(unpack(next)) end
    end
    place_waiting()
  end
  count_ended()
  return status
end

-- Completes a run of which nobody else must hear, and answers so: it has but a short output to say, no steps, no unique key
-- and no batch, and nobody has asked it to stop. Most runs are such, so no table is made of their fields.
local function complete_briefly(id, token, output, fields)
  local state, run_at, attempt, crashes, interruptions, leased_token, started_at, _, lease_until, cancel_by, last_event, _, _,
    log, steps, errors, progress, _, worker, _, children, at = struct_unpack(CHANGING, fields)
  if state ~= RUNNING or leased_token ~= token or cancel_by ~= 0 or steps ~= 0 then return false end
  local seq, batch, _, _, _, _, queue, _, unique = struct_unpack(TO_UNIQUE, fields, at)
  if batch ~= 0 or unique ~= '' then return false end
  last_event = last_event + 2
  local n = #values
  values[n + 1] = root .. 'm:' .. id
  values[n + 2] = struct_pack(CHANGING_AND_REST, COMPLETED, run_at, attempt, crashes, interruptions, token, started_at, now,
    lease_until, 0, last_event, last_event, now, log, steps, errors, progress, 1, #worker, worker, #output, output,
    #children, children, sub(fields, at))
  local member, running = new_member(seq, id, queue), list_of(taken, running_key)
  running[#running + 1] = member
  put(ended_of(queue, COMPLETED), now, member)
  if is_watched then topics['j' .. id] = true end
  completed[queue] = (completed[queue] or 0) + 1
  return true
end

-- Ends the runs that are packed in ARGV from `first` to `to`, and answers a status for each.
local function finish_all(first, to)
  local runs, ids, statuses, rest = {}, {}, {}, {}
  for i = first, to do
    local run = cmsgpack.unpack(ARGV[i])
    runs[#runs + 1] = run
    ids[#ids + 1] = run[1]
  end
  local found, seen = read_all('m:', ids), {}
  for i, run in ipairs(runs) do
    local id, token, outcome, said, _, entries, follow_ups = unpack(run)
    -- Of two ends of one run the first counts: the second finds it written.
    local is_brief = outcome == 'completed' and not entries and not follow_ups and #said <= SHORT_OUTPUT and found[i]
      and not seen[id]
    seen[id] = true
    if is_brief and complete_briefly(id, token, said, found[i]) then
      statuses[i] = HELD
    else
      rest[#rest + 1] = i
    end
  end
  for queue, many in pairs(completed) do
    count(queue, RUNNING, -many)
    count(queue, COMPLETED, many)
  end
  if #rest == 0 then return statuses end
  flush()
  local left = {}
  for n, i in ipairs(rest) do
    left[n] = ids[i]
  end
  read_jobs(left)
  for _, i in ipairs(rest) do
    statuses[i] = finish(runs[i])
  end
  flush()
  return statuses
end
