-- Dependants: jobs that are blocked until others have ended. They count the end of a job in the script that ends it, up to a bound, so
-- that none keeps the server busy for long. What is left then is worked off by sweeps, by finishes that claim, and between claims that
-- find nothing.

-- The ends that one script has counted.
local SETTLED_AT_ONCE = 500

function keyed.dependants()
  local api = {}
  keyed.dependants = function() return api end
  local left = SETTLED_AT_ONCE

  -- Counts a dependency that has ended. The last one frees the job, or has it wait for its children.
  local function count_dependency(id, job)
    job[LEFT] = max(job[LEFT] - 1, 0)
    changed[id] = true
    if job[LEFT] > 0 then
      keyed.tails().keep(job)
    elseif job[CHILDREN] ~= '' and count_children(job, 1, 0) > 0 then
      keyed.tails().set_wait(job, ON_CHILDREN, '')
      repeat_state(id, job)
    else
      unindex(id, job)
      keyed.tails().set_wait(job, 0, '')
      wait_until(job, job[RUN_AT])
      index(id, job)
    end
  end

  -- Has the first of a set of dependants count an end, as far as the bound goes. Answers how many, and true where these were all.
  -- Those that wait for their dependencies no more were retried by hand, or cancelled: it means nothing to them.
  local function settle_first(key, outcome)
    local found = call('ZRANGE', key, 0, left)
    local is_all = #found <= left
    if not is_all then found[#found] = nil end
    left = left - #found
    local ids = {}
    for i, entry in ipairs(found) do
      ids[i] = sub(entry, 18)
    end
    read_jobs(ids)
    for i, entry in ipairs(found) do
      local id, job = ids[i], jobs[ids[i]]
      if job and job[SEQ] == tonumber(sub(entry, 2, 17)) and keyed.tails().waits_for(job, ON_JOBS) then
        if outcome == COMPLETED or sub(entry, 1, 1) == '1' then
          count_dependency(id, job)
        else
          keyed.stopping().cancel(id, job, UNMET)
        end
      end
    end
    return #found, is_all
  end

  -- Leaves what a set has behind its first `many` to later scripts.
  local function put_off(key, many, outcome)
    local number = digits(draw())
    if many > 0 then write('ZREMRANGEBYRANK', key, 0, many - 1) end
    write('RENAME', key, root .. 'settling|' .. number)
    write('ZADD', root .. 'settling', number, number .. '|' .. outcome)
  end

  -- Has the dependants of a job that has ended count that.
  function api.settle(id, job)
    local key = root .. 'unsettled|' .. digits(job[SEQ])
    local many, is_all = settle_first(key, job[STATE])
    if is_all then unlinked[#unlinked + 1] = key else put_off(key, many, job[STATE]) end
    remove_member(root .. 'awaited', member_of(id, job))
  end

  -- Goes on with ends that very many dependants are to count. `count_ended` stands below.
  function api.work_off(count_ended)
    local done_with = 0
    while left > 0 do
      local entry = call('ZRANGE', root .. 'settling', done_with, done_with)[1]
      if not entry then return end
      local number, outcome = string.match(entry, '^(%d+)|(%d)$')
      local key = root .. 'settling|' .. number
      local many, is_all = settle_first(key, tonumber(outcome))
      count_ended()
      if not is_all then
        write('ZREMRANGEBYRANK', key, 0, many - 1)
        return
      end
      unlinked[#unlinked + 1] = key
      remove_member(root .. 'settling', entry)
      done_with = done_with + 1
    end
  end

  -- Finds jobs that a process of an older release has ended or removed, which tells no dependants; looks at about `limit` of those that
  -- others wait for, and goes on from there at the next sweep. How one ended that is gone is not known.
  function api.find_ended(limit)
    local page = call('ZSCAN', root .. 'awaited', call('GET', root .. 'awaited_at') or '0', 'COUNT', limit)
    local found, ids = {}, {}
    for i = 1, #page[2], 2 do
      local n = #found + 1
      found[n], ids[n] = page[2][i], id_of(page[2][i])
    end
    read_jobs(ids)
    for i, id in ipairs(ids) do
      local job, seq = jobs[id], seq_of(found[i])
      local is_there = damaged[id] or job and job[SEQ] == seq
      if not is_there or job and job[STATE] >= COMPLETED then
        local key = root .. 'unsettled|' .. digits(seq)
        if call('EXISTS', key) == 1 then put_off(key, 0, is_there and job[STATE] or CANCELLED) end
        if not is_there then unlinked[#unlinked + 1] = root .. 'dependants|' .. digits(seq) end
        remove_member(root .. 'awaited', found[i])
      end
    end
    write('SET', root .. 'awaited_at', page[1])
  end

  return api
end

-- Lets parents and dependants count the jobs that have ended since, which may free them, or cancel a dependant and so go on. It is the
-- end of every operation, after a finish's follow-ups: a child may be followed by another of its batch.
local function count_ended()
  if #ended_jobs == 0 then return end
  -- Dependants are read where they are written.
  if keyed.has_new_dependants then flush() end
  keyed.has_new_dependants = false
  local n = 1
  while ended_jobs[n] do
    local child_id, child = ended_jobs[n], ended_jobs[n + 1]
    n = n + 2
    local parent = parent_of(child)
    if child[BATCH] ~= 0 and not (parent and parent[STARTED_AT] == 0 and parent[STATE] == BLOCKED) then
      remove_member(root .. 'uncounted', new_member(child[SEQ], child_id, child[PARENT]))
    end
    if parent then count_end(child[PARENT], parent, child[STATE]) end
    if child[AWAITED] == 1 then keyed.dependants().settle(child_id, child) end
  end
  ended_jobs = {}
end
