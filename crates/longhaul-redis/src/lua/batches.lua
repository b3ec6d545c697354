-- Batches: a closing job counts its children, and is free when all of them have ended.

-- Has the readers of a job told its state again, because its children have changed.
local function repeat_state(id, job)
  job[LAST_EVENT] = job[LAST_EVENT] + 1
  job[STATE_EVENT] = job[LAST_EVENT]
  job[STATE_AT] = now
  mark_changed(id)
end

-- The job that counts others as its children, where it has not closed yet.
local function open_batch(id)
  local job = job_of(id)
  return job and job[STATE] == BLOCKED and job[CHILDREN] ~= '' and job
end

-- Adds to one of a closing job's counts: 1 is all its children, 2 to 4 those that have completed, failed, or were
-- cancelled. Answers how many have not ended.
local function count_children(job, which, difference)
  local children = { struct_unpack(COUNTS, job[CHILDREN]) }
  children[which] = children[which] + difference
  job[CHILDREN] = struct_pack(COUNTS, unpack(children, 1, 4))
  return children[1] - children[2] - children[3] - children[4]
end

-- Which of the counts a state belongs to.
local function count_of(state)
  return state - COMPLETED + 2
end

-- The parent that still waits for a child, where the child is counted by one and that is still the same.
local function parent_of(job)
  if job[BATCH] == 0 then return false end
  local parent = open_batch(job[PARENT])
  return parent and parent[SEQ] == job[BATCH] and parent
end

-- Children that have ended and are not yet counted by their parents.
local ended_children = {}

-- Settles what belongs to a job that has ended: its unique key, and its count in its parent.
local function end_job(id, job)
  settle_key(id, job)
  if job[BATCH] ~= 0 then ended_children[#ended_children + 1] = job end
end

-- Lets parents count the children that have ended since, which may free them. It is the end of every operation, after a
-- finish's follow-ups: a child may be followed by another of its batch.
local function count_ended()
  if #ended_children == 0 then return end
  for _, child in ipairs(ended_children) do
    local parent = parent_of(child)
    if parent then
      local id = child[PARENT]
      if count_children(parent, count_of(child[STATE]), 1) == 0 then
        unindex(id, parent)
        wait_until(parent, now)
        index(id, parent)
      else
        repeat_state(id, parent)
      end
    end
  end
  ended_children = {}
end

local made_stopping

-- Cancels jobs, and what else is done to those that go on. Made where a script needs it.
local function stopping()
  if made_stopping then return made_stopping end
  local api = {}
  made_stopping = api

  -- Cancels a job that waits.
  function api.cancel(id, job, reason)
    unindex(id, job)
    tails().set_reason(job, reason)
    set_state(job, CANCELLED)
    end_job(id, job)
    index(id, job)
  end

  -- Asks a running job to stop by a time. A second request may shorten that, and cannot lengthen it: then nothing happens, and
  -- the answer is false.
  function api.ask(id, job, by, reason)
    if job[CANCEL_BY] ~= 0 and by >= job[CANCEL_BY] then return false end
    unindex(id, job)
    tails().set_reason(job, reason)
    job[CANCEL_BY] = by
    index(id, job)
    return true
  end

  -- Forgets the steps of a job, and their times.
  function api.forget_steps(id, job)
    if job[STEPS] > 0 then
      unlinked[#unlinked + 1] = root .. 't:' .. id
      job[STEPS] = 0
    end
    for _, field in ipairs(redis.pcall('HKEYS', root .. 'x:' .. id)) do
      if sub(field, 1, 5) == 'step|' then write('HDEL', root .. 'x:' .. id, field) end
    end
  end

  return api
end
