-- New jobs that depend on others, or bring steps that are done. Made where a script needs it, because most jobs do neither.

local made_depending

local function depending()
  if made_depending then return made_depending end
  local api = {}
  made_depending = api
  -- The bit of a dependency whose failure cancels the job.
  local CANCELS = 0

  -- True for an id of a job that is there.
  local function is_there(id)
    return created[id] or job_of(id) or damaged[id]
  end

  -- The packed data of a new job with its dependencies, of which those that were not created are replaced by the jobs that stand for
  -- them, each once (of several on one job, one that cancels holds), and with the job that it follows, which may end in any way.
  local function resolved(data, unpacked, stand_ins, followed)
    local list, others, seen, is_changed = unpacked[DEPENDS_ON], {}, {}, false
    for n = 1, #list, 2 do
      local id = stand_ins[list[n]] or list[n]
      is_changed = is_changed or id ~= list[n]
      if not seen[id] then
        others[#others + 1], others[#others + 2] = id, list[n + 1]
        seen[id] = #others
      elseif list[n + 1] == CANCELS then
        others[seen[id]] = CANCELS
      end
    end
    if followed and not seen[followed] then
      others[#others + 1], others[#others + 2] = followed, 1
      is_changed = true
    end
    if not is_changed then return data, list end
    unpacked[DEPENDS_ON] = others
    return cmsgpack.pack(unpacked), others
  end

  -- Looks at the dependencies that the data of a new job names. Answers the data, and the dependencies: those that are there, as ids and
  -- bits in turn, how many have not ended, true where one has ended in a way that cancels the job, and the job that it follows. One that is not there is a
  -- follow-up's and counts as cancelled: what is enqueued by itself is refused before. Nor may it depend on an unfinished ancestor, which a
  -- call that names it is refused for: the ancestor may wait for it. So one of a follow-up, or that stands for another job, counts as
  -- cancelled, too.
  function api.look(data, stand_ins, parent, followed)
    local list
    data, list = resolved(data, cmsgpack.unpack(data), stand_ins, followed)
    local found = { unfinished = 0, has_failed = false, behind = followed or '' }
    local ids, unfinished = {}, {}
    for n = 1, #list, 2 do
      ids[#ids + 1] = list[n]
    end
    read_jobs(ids)
    for n = 1, #list, 2 do
      local job = jobs[list[n]]
      local state = job and job[STATE] or CANCELLED
      if job then
        found[#found + 1], found[#found + 2] = list[n], list[n + 1]
      end
      if state < COMPLETED then
        found.unfinished = found.unfinished + 1
        unfinished[list[n]] = true
      elseif state ~= COMPLETED and list[n + 1] == CANCELS then
        found.has_failed = true
      end
    end
    if parent and found.unfinished > 0 and not found.has_failed then
      found.has_failed = clashing().nearest_ancestor(parent, unfinished) and true or false
    end
    found.is_waited_for = found.unfinished > 0 or found.has_failed
    return data, found
  end

  -- Makes a new job depend on others.
  function api.depend(id, job, dependencies)
    keyed.tails().begin(job)
    job[DEPENDS], job[LEFT], job[BEHIND] = 1, dependencies.unfinished, dependencies.behind
    if dependencies.is_waited_for then job[WAITS_FOR] = ON_JOBS end
    keyed.tails().keep(job)
    local entry = formatted('%016d', job[SEQ]) .. id
    for n = 1, #dependencies, 2 do
      local other_id, ends = dependencies[n], dependencies[n + 1]
      local other = jobs[other_id]
      local seq = digits(other[SEQ])
      if other[AWAITED] ~= 1 then
        keyed.tails().begin(other)
        other[AWAITED] = 1
        keyed.tails().keep(other)
        changed[other_id] = true
      end
      add_member(root .. 'dependants|' .. seq, job[SEQ], entry)
      if other[STATE] < COMPLETED then
        local unsettled = root .. 'unsettled|' .. seq
        if not added[unsettled] then add_member(root .. 'awaited', 0, member_of(other_id, other)) end
        add_member(unsettled, job[SEQ], ends .. entry)
        keyed.has_new_dependants = true
      end
    end
  end

  -- Gives a new job steps that are done already; of two of one name the first stays.
  function api.bring_steps(id, job, steps)
    local seen = {}
    for n = 1, #steps, 2 do
      local name = steps[n]
      if not seen[name] then
        seen[name] = true
        job[STEPS] = job[STEPS] + 1
        write('HSET', root .. 't:' .. id, name, steps[n + 1])
        write('HSET', root .. 'x:' .. id, 'step|' .. name, format('%d|%d|%d|%d', job[STEPS], job[ATTEMPT], now, 0))
      end
    end
    keyed.brought = keyed.brought or {}
    keyed.brought[id] = true
  end

  -- The first job of a call that would be created and depends on one that is neither there nor before it in the call ('unknown'), or on an
  -- ancestor that has not ended ('ancestor'): which of these, the job, and which of its dependencies that is, both counted from 0. `job_at`
  -- answers the id, the start and the data of the nth job.
  function api.refused_in(many, job_at)
    local seen, promises_seen, parents = {}, {}, {}
    for n = 1, many do
      local id, start, data = job_at(n)
      local keys = keys_of(start)
      local key, parent = keys and keys[IDEMPOTENCY], keys and keys[PARENT_ID] or false
      local stands = key and (promises_seen[key] or promised(key)) or seen[id] or is_there(id)
      if not stands and bit.band(flags_of(start), HAS_DEPENDENCIES) ~= 0 then
        local list, unfinished = cmsgpack.unpack(data)[DEPENDS_ON], {}
        for place = 1, #list, 2 do
          local other = list[place]
          if not seen[other] and not is_there(other) then return 'unknown', n - 1, (place - 1) / 2 end
          local job = parent and job_of(other)
          if job and job[STATE] < COMPLETED or not job and seen[other] then unfinished[other] = (place - 1) / 2 end
        end
        local ancestor = parent and clashing().nearest_ancestor(parent, unfinished, parents)
        if ancestor then return 'ancestor', n - 1, unfinished[ancestor] end
      end
      if not seen[id] then parents[id] = parent end
      seen[id] = true
      if key then promises_seen[key] = true end
    end
  end

  return api
end
