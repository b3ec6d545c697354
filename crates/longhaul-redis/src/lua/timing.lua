-- Ends what time ends: for the scripts that see to what is due.

-- Cancels waiting jobs whose time is over, of at most `limit` that are due, and notes running ones that are to be asked to stop.
-- Answers how many it cancelled, and how many members were looked at.
local function end_waiting(limit)
  local found = call('ZRANGEBYSCORE', root .. 'timed', '-inf', now, 'LIMIT', 0, limit)
  if #found == 0 then return 0, 0 end
  local cancelled = 0
  for i, id in ipairs(read_members(found)) do
    local job = jobs[id]
    local at = job and job[ENDS] and job[STATE] < COMPLETED and keyed.tails().ends_at(job) or 0
    if job and is_stray(found[i], job) then at = 0 end
    remove_member(root .. 'timed', found[i])
    if at > now then
      -- It has been started.
      add_member(root .. 'timed', at, found[i])
    elseif at ~= 0 and job[STATE] == RUNNING then
      add_member(root .. 'overdue', at, found[i])
    elseif at ~= 0 then
      keyed.stopping().cancel(id, job, job[STARTED_AT] == 0 and at == job[EXPIRES_AT] and EXPIRED or OVERDUE)
      cancelled = cancelled + 1
    end
  end
  count_ended()
  flush()
  return cancelled, #found
end

-- Asks running jobs to stop whose deadline is over, at most `limit`. Answers how many it asked, and how many members were looked at.
local function stop_overdue(limit)
  local found, asked = call('ZRANGE', root .. 'overdue', 0, limit - 1), 0
  for i, id in ipairs(read_members(found)) do
    local job = jobs[id]
    remove_member(root .. 'overdue', found[i])
    -- One that was retried by hand since has no deadline.
    local is_overdue = job and job[STATE] == RUNNING and job[ENDS] and job[DEADLINE] ~= 0 and not is_stray(found[i], job)
    if is_overdue and keyed.stopping().ask(id, job, now + STOP_GRACE, OVERDUE) then
      asked = asked + 1
      remove_member(root .. 'timed', found[i])
    end
  end
  if #found > 0 then flush() end
  return asked, #found
end
