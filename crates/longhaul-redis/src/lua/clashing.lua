-- What becomes of new jobs whose unique keys are held, whose queue or limit keys bound what waits, or that have a tail. Made where a
-- script needs it, because most jobs have none of these. It repeats `lifecycle/unique.rs`,
-- `lifecycle/waiting.rs` and `lifecycle/ancestors.rs`.

-- The packed keys of a new job, each of which may be false: its idempotency key and the request's digest, and how long the two are
-- remembered; its unique key, and what becomes of it where that is held; its parent; what few jobs have; and the names and outputs of
-- steps that are done, in turn.
local IDEMPOTENCY, FINGERPRINT, KEEP_FOR, UNIQUE_KEY, ON_CLASH, PARENT_ID, MORE, BROUGHT = 1, 2, 3, 4, 5, 6, 7, 8
-- What few jobs have: the states in which a holder keeps the key from it, as bits, or false; how long a debounce waits, and at most;
-- for how long it holds the key whatever becomes of it, or false; the ends after which it keeps the key, as bits; how long it waits
-- at most for its start, or false; its deadline from now on and as a time, or false.
local IN_STATES, DELAY, MAX_DELAY, HOLD_FOR, KEEPS_AFTER, EXPIRES_IN, DEADLINE_IN, DEADLINE_AT = 1, 2, 3, 4, 5, 6, 7, 8
-- What becomes of one whose key is held.
local JOIN, REFRESH, REJECT, REPLACE, TRAILING, LEADING, THROTTLE, SUPERSEDE, FOLLOW = 0, 1, 2, 3, 4, 5, 6, 7, 8

-- The data of jobs with unique keys that this very script has created: id -> data.
local new_data = {}
-- Ids of jobs of this call that wait for children and have no place yet.
local unplaced = {}
local made_clashing

local function clashing()
  if made_clashing then return made_clashing end
  local api = {}
  made_clashing = api

  -- The tail of a new job that has one, and when time ends it, or 0.
  function api.tail_of(more)
    local expires_at = more[EXPIRES_IN] and min(now + more[EXPIRES_IN], END_OF_TIME) or 0
    local deadline = more[DEADLINE_IN] and now + more[DEADLINE_IN] or more[DEADLINE_AT] or 0
    -- A time that is past is a time, too.
    if more[DEADLINE_AT] then deadline = max(deadline, 1) end
    deadline = min(deadline, END_OF_TIME)
    local held_until = more[HOLD_FOR] and min(now + more[HOLD_FOR], END_OF_TIME) or 0
    local tail = struct_pack(TAIL, expires_at, deadline, held_until, 0, more[KEEPS_AFTER])
    if expires_at == 0 or deadline == 0 then return tail, max(expires_at, deadline) end
    return tail, min(expires_at, deadline)
  end

  local function is_named(states, state)
    if states then return bit.band(states, 2 ^ state) ~= 0 end
    return state ~= FAILED and state ~= CANCELLED
  end

  -- When a succession is over unless another job comes.
  local function quiet_at(job, more)
    local at = now + more[DELAY]
    if more[MAX_DELAY] then
      at = min(at, keyed.tails().created_at(job) + more[MAX_DELAY])
    end
    return min(at, END_OF_TIME)
  end

  -- What becomes of a new job whose key another holds: nil where it is created and takes the key, or else JOIN, REJECT, LEADING and
  -- until when the holder holds the key on, REPLACE with the state and time of the holder, or SUPERSEDE or FOLLOW where it is created, too.
  local function clash(job, keys, kind, delay, at)
    local how, more, state, held_until = keys[ON_CLASH] or JOIN, keys[MORE], job[STATE], job[HELD_UNTIL] or 0
    if held_until == 0 and not is_named(more and more[IN_STATES], state) then return nil end
    if how == JOIN or how == THROTTLE then return JOIN end
    if how == REJECT then return REJECT end
    if how == REFRESH then
      if state >= COMPLETED then return nil end
      return JOIN
    end
    if how == SUPERSEDE then
      if state >= COMPLETED then return nil end
      return SUPERSEDE
    end
    if how == FOLLOW then
      if state >= COMPLETED then return nil end
      -- It is in the middle of its work.
      if state == RUNNING or state == BLOCKED and job[STARTED_AT] ~= 0 then return FOLLOW end
    end
    if how == LEADING then
      if held_until == 0 then return JOIN end
      return LEADING, max(held_until, quiet_at(job, more))
    end
    if how == TRAILING then
      if state ~= SCHEDULED or job[RUN_AT] <= now or job[STARTED_AT] ~= 0 then return nil end
      if job[KIND] ~= kind then return REJECT end
      local run_at = max(quiet_at(job, more), now)
      return REPLACE, run_at > now and SCHEDULED or AVAILABLE, run_at
    end
    if job[KIND] ~= kind then return REJECT end
    if state == BLOCKED then return REPLACE, BLOCKED, job[RUN_AT] end
    if state ~= SCHEDULED and state ~= AVAILABLE then return JOIN end
    local run_at = min(max(now + delay, at), max(now, END_OF_TIME))
    if run_at > now then return REPLACE, SCHEDULED, run_at end
    -- What may run at once keeps its place, or a job that is replaced again and again would never run.
    return REPLACE, AVAILABLE, state == AVAILABLE and job[RUN_AT] or run_at
  end

  -- Gives a job that waits the args of a new one, their version, and a state and time.
  local function replace(id, job, version, data, state, run_at)
    local is_ours, own = pcall(cmsgpack.unpack, new_data[id] or call('GET', root .. 'd:' .. id) or '')
    local is_read, other = pcall(cmsgpack.unpack, data)
    if is_ours and is_read and type(own) == 'table' then
      own[1] = other[1]
      new_data[id] = cmsgpack.pack(own)
      local n = #values
      values[n + 1], values[n + 2] = root .. 'd:' .. id, new_data[id]
    end
    if not unplaced[id] then unindex(id, job) end
    job[VERSION] = version
    -- After the seq and the batch.
    job[FIXED] = sub(job[FIXED], 1, 16) .. struct_pack('>I4', version) .. sub(job[FIXED], 21)
    keyed.stopping().forget_steps(id, job)
    job[RUN_AT] = run_at
    if state == job[STATE] then repeat_state(id, job) else set_state(job, state) end
    if not unplaced[id] then index(id, job) end
  end

  -- Has a job hold its key until a time, and be kept until then where it has ended.
  local function lengthen(id, job, held_until)
    local place, score = place_of(job)
    job[HELD_UNTIL] = held_until
    keyed.tails().keep(job)
    changed[id] = true
    hold(job[UNIQUE], id, held_until)
    local _, later = place_of(job)
    if place and later ~= score then add_member(place, later, member_of(id, job)) end
  end

  -- Cancels the job that was enqueued first of those that wait with a bound.
  local function drop_oldest(name)
    local id = keyed.bounds().oldest(name, function(id)
      local job = job_of(id)
      return job and (job[STATE] == AVAILABLE or job[STATE] == SCHEDULED)
    end)
    if id then keyed.stopping().cancel(id, job_of(id), DROPPED) end
  end

  -- The most ancestors of a new job that are looked at.
  local ANCESTORS_LOOKED_AT = 100

  -- The nearest ancestor of a new job that is in a set of ids: of its parent, its parent's parent, and so on. A job that waited for an
  -- unfinished one would wait for one that may wait for it. `new` are the parents, or false, of jobs that may be made before it.
  function api.nearest_ancestor(parent, wanted, new)
    for _ = 1, ANCESTORS_LOOKED_AT do
      if not parent or wanted[parent] then return parent end
      local job = job_of(parent)
      if job then parent = job[PARENT] else parent = new and new[parent] end
    end
    return nil
  end

  -- What becomes of a new job: false where it is created, and besides true where it is to be cancelled at once, or false and the job
  -- that it follows; or else the answer.
  -- `holder` is the id of the job that holds its key, or nothing, and `passes` true for one that no bound keeps out: a follow-up, or one
  -- that is blocked.
  function api.meet(keys, holder, source, start, data, passes)
    local queue, kind, version, limit_keys = string.match(source, '^([^|]*)|([^|]*)|(%d+)|?([^|]*)')
    local delay, at = struct_unpack(START, start)
    local how, state, run_at

    if holder then how, state, run_at = clash(job_of(holder), keys, kind, delay, at) end
    if how == FOLLOW and api.nearest_ancestor(keys[PARENT_ID], { [holder] = true }) then how = REJECT end
    if how == JOIN then return holder end
    if how == REJECT then return { 'rejected', holder } end
    if how == LEADING then
      lengthen(holder, job_of(holder), state)
      return holder
    end
    if how == REPLACE then
      replace(holder, job_of(holder), tonumber(version), data, state, run_at)
      return { 'replaced', holder }
    end
    if how == FOLLOW then return false, false, holder end
    if keyed.is_bounded and not passes then
      local names, hows = keyed.bounds().broken(queue, limit_keys)
      for n, what in ipairs(hows) do
        if what == REFUSE then return { 'full', names[n] } end
      end
      for _, what in ipairs(hows) do
        if what == DROP_NEWEST then return false, true end
      end
      for _, name in ipairs(names) do
        if keyed.bounds().is_full(name) then drop_oldest(name) end
      end
      -- One that was dropped holds no more.
      if #names > 0 and how == SUPERSEDE then
        holder = holder_of(keys[UNIQUE_KEY])
        how = holder and clash(job_of(holder), keys, kind, delay, at)
      end
    end
    if how == SUPERSEDE then
      local job = job_of(holder)
      if job[STATE] == RUNNING then
        keyed.stopping().ask(holder, job, now + STOP_GRACE, SUPERSEDED)
      else
        if unplaced[holder] then index(holder, job) end
        unplaced[holder] = nil
        keyed.stopping().cancel(holder, job, SUPERSEDED)
      end
    end
    return false
  end

  return api
end
