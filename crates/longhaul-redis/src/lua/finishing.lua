-- Ends runs: for the scripts that do so. `follow` is there in those for runs with follow-ups, see `following.lua`: making what creates
-- jobs takes the server as long as the end of some runs.

-- See `finish`.
local BESIDE = 2
-- Queue -> number of runs that were completed as simple ones.
local completed = {}

local made_outcomes

-- Made where a script needs them: most runs are completed as simple ones.
local function outcomes()
  if made_outcomes then return made_outcomes end

  local function keep_output(id, job, output)
    if #output <= SHORT_OUTPUT then
      job[OUTPUT_AT], job[OUTPUT] = 1, output
    else
      write('HSET', root .. 'x:' .. id, 'output', output)
      job[OUTPUT_AT] = 2
    end
  end

  -- Ends a job that somebody has asked to stop, where its run would be followed by another.
  local function cancel_instead(id, job, error)
    if error then keep_error(id, job, error) end
    set_state(job, CANCELLED)
  end

  -- Pauses the first of a job's limit keys, which an earlier run may have paused for longer, and answers until when.
  local function pause(keys, run_at)
    local key = string.match(keys, '^[^,;]+')
    if not key then return run_at end
    local before = pauses[key] or tonumber(call('ZSCORE', root .. 'paused', key) or 0)
    pauses[key] = max(min(run_at, END_OF_TIME), before)
    write('ZADD', root .. 'paused', digits(pauses[key]), key)
    if made_limits then limits().note_pause(key) end
    return pauses[key]
  end

  -- True where a run has nothing to wait for: its signal is among the steps, or no child is unfinished.
  local function has_come(id, job, on, signal)
    if on == ON_CHILDREN then return count_children(job, 1, 0) == 0 end
    if on ~= ON_SIGNAL then return false end
    local step = 'signal:' .. signal
    return new_steps[id] and new_steps[id][step] or job[STEPS] > 0 and call('HEXISTS', root .. 't:' .. id, step) == 1
  end

  -- Outcomes by name. Each is told its value: an output or the rest of an error in JSON, and a delay.
  made_outcomes = {
    completed = function(id, job, output)
      keep_output(id, job, output)
      -- A completed job that is retried by hand begins from nothing. The times of its steps stay, to be looked at.
      if job[STEPS] > 0 then
        unlinked[#unlinked + 1] = root .. 't:' .. id
        job[STEPS] = 0
      end
      set_state(job, COMPLETED)
    end,
    failed = function(id, job, error)
      keep_error(id, job, error)
      set_state(job, FAILED)
    end,
    cancelled = function(id, job, error)
      keep_error(id, job, error)
      set_state(job, CANCELLED)
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
    -- A snooze, and one for all jobs of its first limit key.
    limited = function(id, job, stopped, delay)
      local run_at = pause(job[LIMIT_KEY], now + delay)
      if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, stopped) end
      give_attempt_back(job)
      wait_until(job, run_at)
    end,
    -- `wait` is what it waits for, the name of the signal, how long at most or false, and true where `value` is an error of its own.
    waits = function(id, job, value, _, wait)
      if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, value) end
      local on, signal, timeout, has_failed = unpack(wait)
      if on == ON_PERSON then
        if has_failed then keep_error(id, job, value) end
      else
        give_attempt_back(job)
        if has_come(id, job, on, signal) then return wait_until(job, now) end
      end
      job[RUN_AT] = timeout and min(now + timeout, END_OF_TIME) or now
      keyed.tails().set_wait(job, on, signal, timeout)
      set_state(job, BLOCKED)
    end,
    released = function(id, job, stopped)
      if job[CANCEL_BY] ~= 0 then return cancel_instead(id, job, stopped) end
      give_attempt_back(job)
      job[INTERRUPTIONS] = min(job[INTERRUPTIONS] + 1, MOST)
      -- It keeps its `run_at`, and with it its place: what was begun goes before what was not.
      set_state(job, AVAILABLE)
    end,
  }
  return made_outcomes
end

-- The answer about a run that ends here, which tells its status and the time: it is negative, and no other is.
local function ended_as(status)
  return -4 * now - status - 1
end

-- Ends one run: {id, token, outcome, value, delay, entries, {new job}, 1 where the caller wants to be told of changes and 2 of all but
-- the run's own completion, the units of rates that the run has taken, why it was cancelled, what it waits for}, of which all but the
-- first five may be false. Answers as `finish.lua` does.
local function finish(end_of_run)
  local id, token, outcome, value, delay, entries, follow_ups, tells, cost, reason, wait = unpack(end_of_run)
  local job = leased(id, token)
  if not job then return has_ended_by(job_of(id), token) and HELD or LOST end
  if tells then note_changes() end
  local status = lease_status(job)
  unindex(id, job)
  if cost and (job[LIMIT_KEY] ~= '' or keyed.is_limited) then
    local _, units = keyed.tails().cost_of(job)
    groups().settle_rates(groups().with_queue(job[QUEUE], job[LIMIT_KEY]), units, cost)
  end
  -- The reason of the request to stop takes precedence over the reason of the run.
  if reason and reason ~= ASKED and job[CANCEL_BY] == 0 then keyed.tails().set_reason(job, reason) end
  if entries then add_entries(id, job, entries) end
  outcomes()[outcome](id, job, value, delay, wait)
  if job[STATE] >= COMPLETED then
    job[TOKEN] = token
    end_job(id, job)
  end
  index(id, job)
  if tells == BESIDE then told[#told] = nil end
  -- The unique key is settled by now, so that a job may be followed by one of its own key.
  if follow_ups and job[STATE] == COMPLETED then follow(follow_ups) end
  count_ended()
  local noted = told
  told = false
  return noted and #noted > 1 and { ended_as(status), noted } or ended_as(status)
end

-- Completes a run, and answers true, where that is simple: it has but a short output, no steps, no unique key, no batch, no children
-- and no tail, and nobody has asked it to stop. Most runs are such, so no table is made of their fields.
local function complete_simple(id, token, output, fields)
  local state, run_at, attempt, crashes, interruptions, leased_token, started_at, _, lease_until, cancel_by,
    last_event, _, _, log, steps, errors, progress, _, worker, _, children, at = struct_unpack(CHANGING, fields)
  if state ~= RUNNING or leased_token ~= token or cancel_by ~= 0 or steps ~= 0 or children ~= '' then return false end
  local seq, batch, _, _, _, period, queue, _, unique = struct_unpack(TO_UNIQUE, fields, at)
  if batch ~= 0 or unique ~= '' or period == TAILED then return false end
  last_event = last_event + 2
  local n = #values
  values[n + 1] = root .. 'm:' .. id
  values[n + 2] = struct_pack(CHANGING_AND_REST, COMPLETED, run_at, attempt, crashes, interruptions, token, started_at, now,
    lease_until, 0, last_event, last_event, now, log, steps, errors, progress, 1, #worker, worker, #output, output,
    #children, children, sub(fields, at))
  local member, running = new_member(seq, id, queue), list_of(removed, running_key)
  running[#running + 1] = member
  add_member(ended_of(queue, COMPLETED), now, member)
  if is_watched then topics['j' .. id] = true end
  if keyed.is_holding then keyed.ended[id] = true end
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
  -- Of two ends of one run the first counts.
  local found, completed_by, is_left = read_all('m:', ids), {}, {}
  for i, run in ipairs(runs) do
    local id, token, outcome, output, _, entries, follow_ups, tells, cost = unpack(run)
    local is_simple = outcome == 'completed' and not entries and not follow_ups and (not tells or tells == BESIDE) and not cost
      and #output <= SHORT_OUTPUT and found[i] and not is_left[id]
    if completed_by[id] then
      statuses[i] = completed_by[id] == token and HELD or LOST
    else
      local is_read, is_done = false, false
      -- A record that cannot be read is none of a simple run.
      if is_simple then is_read, is_done = pcall(complete_simple, id, token, output, found[i]) end
      if is_read and is_done then
        statuses[i], completed_by[id] = ended_as(HELD), token
      else
        rest[#rest + 1], is_left[id] = i, true
      end
    end
  end
  for queue, many in pairs(completed) do
    count(queue, RUNNING, -many)
    count(queue, COMPLETED, many)
  end
  -- The caller writes these, together with a claim where there is one.
  if #rest == 0 then return statuses end
  -- The others may be of jobs that have to do with these.
  local prefix = #root + 2
  for n = 1, #values, 2 do
    created[sub(values[n], prefix + 1)] = values[n + 1]
  end
  local left = {}
  for n, i in ipairs(rest) do
    left[n] = ids[i]
  end
  read_jobs(left)
  for _, i in ipairs(rest) do
    statuses[i] = finish(runs[i])
  end
  flush()
  bound_logs()
  return statuses
end
