-- Does something to jobs from outside, to those that it applies to.
--
-- ARGV[2]   'cancel', 'retry' or 'delete'
-- ARGV[3]   for a cancel, how long a running job may take to stop
-- ARGV[4..] ids
-- Returns   to how many it was done

local grace = tonumber(ARGV[3])

local actions = {
  cancel = function(id, job)
    if job[STATE] >= COMPLETED then return false end
    unindex(id, job)
    if job[STATE] == RUNNING then
      -- A second request may shorten the grace and cannot lengthen it.
      local by = job[CANCEL_BY]
      job[CANCEL_BY] = by == 0 and now + grace or min(by, now + grace)
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

local ids, acted = {}, 0
for i = 4, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
read_jobs(ids)
for _, id in ipairs(ids) do
  if jobs[id] and actions[ARGV[2]](id, jobs[id]) then acted = acted + 1 end
end
done()
return acted
