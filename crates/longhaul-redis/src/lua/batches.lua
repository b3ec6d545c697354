-- Parents and their children: a closing job is free when all of its children have ended, and a job that has begun counts those that it is
-- given, too.

-- Has the readers of a job told its state again, because its children have changed or it is asked to stop.
local function repeat_state(id, job)
  -- As many numbers as its state takes.
  job[LAST_EVENT] = job[LAST_EVENT] + (job[STATE] == COMPLETED and 2 or 1)
  job[STATE_EVENT] = job[LAST_EVENT]
  job[STATE_AT] = now
  mark_changed(id)
end

-- The job that counts a new one among its children, where it does: one that waits for them, or has begun and not ended.
local function counting_parent(id)
  local job = job_of(id)
  if not job or job[STATE] >= COMPLETED then return false end
  return (job[STARTED_AT] ~= 0 or job[STATE] == BLOCKED and job[CHILDREN] ~= '') and job
end

-- Adds to one of a parent's counts: 1 is all its children, 2 to 4 those that have completed, failed, or were cancelled. Answers
-- how many have not ended.
local function count_children(job, which, difference)
  local children = job[CHILDREN] == '' and { 0, 0, 0, 0 } or { struct_unpack(COUNTS, job[CHILDREN]) }
  if difference ~= 0 then
    children[which] = max(children[which] + difference, 0)
    job[CHILDREN] = struct_pack(COUNTS, unpack(children, 1, 4))
  end
  return children[1] - children[2] - children[3] - children[4]
end

-- The index of the count that a state belongs to.
local function count_of(state)
  return state - COMPLETED + 2
end

-- The parent that counts a child, where it is still the same.
local function parent_of(job)
  if job[BATCH] == 0 then return false end
  local parent = job_of(job[PARENT])
  return parent and parent[SEQ] == job[BATCH] and parent
end

-- Notes that a child is to be counted by a parent that has begun, of which a process of the release before does not know: it would wait
-- for ever where that one ends the child.
local function note_uncounted(parent, id, seq, parent_id)
  if parent[STARTED_AT] ~= 0 then add_member(root .. 'uncounted', parent[SEQ], new_member(seq, id, parent_id)) end
end

-- Counts a job among the children of its parent, where that one counts new ones. Answers the parent's seq, or 0.
local function join(id, seq, parent_id)
  local parent = counting_parent(parent_id)
  if not parent then return 0 end
  count_children(parent, 1, 1)
  repeat_state(parent_id, parent)
  note_uncounted(parent, id, seq, parent_id)
  return parent[SEQ]
end

-- Has a parent count the end of a child, which may free it.
local function count_end(id, parent, state)
  if count_children(parent, count_of(state), 1) == 0 and keyed.tails().waits_for(parent, ON_CHILDREN) then
    unindex(id, parent)
    wait_until(parent, now)
    index(id, parent)
  else
    repeat_state(id, parent)
  end
end

-- Ids and jobs in turn: those that have ended and are not yet counted by their parents and dependants.
local ended_jobs = {}

-- Settles what belongs to a job that has ended: its unique key, and its count in its parent and its dependants.
local function end_job(id, job)
  settle_key(id, job)
  if job[BATCH] ~= 0 or job[AWAITED] == 1 then
    local n = #ended_jobs
    ended_jobs[n + 1], ended_jobs[n + 2] = id, job
  end
end

-- Cancels jobs, and what else is done to those that go on. Made where a script needs it.
function keyed.stopping()
  local api = {}
  keyed.stopping = function() return api end

  -- Cancels a job that waits.
  function api.cancel(id, job, reason)
    unindex(id, job)
    keyed.tails().set_reason(job, reason)
    set_state(job, CANCELLED)
    end_job(id, job)
    index(id, job)
  end

  -- Asks a running job to stop by a time. A second request may shorten that, and cannot lengthen it: then nothing happens, and
  -- the answer is false.
  function api.ask(id, job, by, reason)
    if job[CANCEL_BY] ~= 0 and by >= job[CANCEL_BY] then return false end
    unindex(id, job)
    keyed.tails().set_reason(job, reason)
    job[CANCEL_BY] = by
    repeat_state(id, job)
    index(id, job)
    return true
  end

  -- Forgets the steps of a job, and their times.
  function api.forget_steps(id, job)
    if job[STEPS] > 0 then
      unlinked[#unlinked + 1] = root .. 't:' .. id
      job[STEPS] = 0
    end
    -- Steps that this script has brought are not written yet.
    if keyed.brought and keyed.brought[id] then flush() end
    for _, field in ipairs(redis.pcall('HKEYS', root .. 'x:' .. id)) do
      if sub(field, 1, 5) == 'step|' then write('HDEL', root .. 'x:' .. id, field) end
    end
  end

  return api
end
