-- Acts on jobs from outside: on those that fit a filter at the moment of the write, and that the action applies to.
--
-- ARGV[2]   'cancel', 'retry' or 'delete'
-- ARGV[3]   for a cancel, how long a running job may take to stop
-- ARGV[4]   how many to change at most
-- ARGV[5]   the packed filter: see `matching.lua`
-- ARGV[6..] for each candidate its id, its seq, and the number of the state that was looked at or ''
-- Returns   how many candidates were looked at, fitted, and were changed, and how many are in another state than the one that
--           was looked at

local grace, limit = tonumber(ARGV[3]), tonumber(ARGV[4])

local actions = {
  cancel = function(id, job)
    if job[STATE] >= COMPLETED then return false end
    unindex(id, job)
    if job[STATE] == RUNNING then
      -- A second request may shorten the grace and cannot lengthen it.
      local by = job[CANCEL_BY]
      job[CANCEL_BY] = min(by == 0 and END_OF_TIME or by, now + grace)
    else
      set_state(job, CANCELLED)
      end_job(id, job)
    end
    index(id, job)
    count_ended()
    return true
  end,
  -- Makes a finished job available with all its attempts. Its errors stay as history, and so do the steps of one that
  -- did not complete.
  retry = function(id, job)
    if job[STATE] < COMPLETED then return false end
    if job[UNIQUE] ~= '' then
      local holder = holder_of(job[UNIQUE])
      if holder and holder ~= id then return false end
      hold(job[UNIQUE], id, 0)
    end
    local parent = parent_of(job)
    if parent then
      count_children(parent, count_of(job[STATE]), -1)
      repeat_state(job[PARENT], parent)
    end
    unindex(id, job)
    if job[OUTPUT_AT] == 2 or job[PROGRESS] == 1 then write('HDEL', root .. 'x:' .. id, 'progress', 'output') end
    job[ATTEMPT], job[CRASHES] = 0, 0
    job[OUTPUT_AT], job[OUTPUT], job[PROGRESS], job[FINISHED_AT] = 0, '', 0, 0
    wait_until(job, now)
    index(id, job)
    return true
  end,
  delete = function(id, job)
    if job[STATE] < COMPLETED then return false end
    remove(id, job)
    return true
  end,
}

local act, fits = actions[ARGV[2]], filter_of(ARGV[5])
local ids, looked_at, matched, acted, changed_since = {}, 0, 0, 0, 0
for i = 6, #ARGV, 3 do
  ids[#ids + 1] = ARGV[i]
end
read_jobs(ids)
for i, id in ipairs(ids) do
  if acted == limit then break end
  looked_at = looked_at + 1
  local job, seq, state_event = jobs[id], tonumber(ARGV[3 * i + 4]), tonumber(ARGV[3 * i + 5])
  if job and job[SEQ] == seq then
    if state_event and job[STATE_EVENT] ~= state_event then
      changed_since = changed_since + 1
    elseif fits(job) then
      matched = matched + 1
      if act(id, job) then acted = acted + 1 end
    end
  end
end
done()
return { looked_at, matched, acted, changed_since }
