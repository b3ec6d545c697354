-- Acts on jobs from outside: on those that fit a filter at the moment of the write, and that the action applies to.
--
-- ARGV[2]   'cancel', 'retry', 'retry_with', 'retry_from', 'delete' or 'set_priority'
-- ARGV[3]   for a cancel, how long a running job may take to stop and the reason, as 'grace|reason'; for a retry with
--           other args, these; for one from a step, packed, its name and other args or false; a priority
-- ARGV[4]   how many to change at most
-- ARGV[5]   the packed filter: see `matching.lua`
-- ARGV[6]   '1' where the caller wants to be told of changes
-- ARGV[7]   how many to look at here, newest first, or '' where the candidates come
-- ARGV[8..] the seq before which they must have been enqueued or '', and ids where only these are meant; or for each candidate its id, its
--           seq, and the number of the state that was looked at or ''
-- Returns   how many fitted, and how many were changed; 1 where some that fit are left out because so many were changed already; how
--           many candidates are in another state than the one that was looked at; the seq of the last one that was looked at where there
--           are more, or else 0; and the changes of state or false

if ARGV[6] == '1' then note_changes() end
local value, limit = ARGV[3], tonumber(ARGV[4])

-- True for a job that has ended, or waits for a person because its attempts are used up.
local function is_over(job)
  return job[STATE] >= COMPLETED or keyed.tails().waits_for(job, ON_PERSON)
end

-- The children of a closing job that are noted when it is retried.
local NOTED_AT_ONCE = 1000

-- Notes the unfinished children of a closing job that was cancelled before it began. While it was blocked a process of the release before
-- counted each; from now on it does not. Of more children than this none is noted, because that would keep the server busy.
local function note_children(id, job)
  if job[STARTED_AT] ~= 0 or count_children(job, 1, 0) == 0 then return end
  local ids = call('ZRANGE', root .. 'of|' .. id, 0, NOTED_AT_ONCE)
  if #ids > NOTED_AT_ONCE then return end
  read_jobs(ids)
  for _, child_id in ipairs(ids) do
    local child = jobs[child_id]
    if child and child[BATCH] == job[SEQ] and child[STATE] < COMPLETED then
      add_member(root .. 'uncounted', job[SEQ], new_member(child[SEQ], child_id, id))
    end
  end
end

-- Makes a job that is over available with all its attempts. Its errors stay as history.
local function start_anew(id, job)
  if job[UNIQUE] ~= '' then
    local holder = holder_of(job[UNIQUE])
    if holder and holder ~= id then return false end
    hold(job[UNIQUE], id, job[HELD_UNTIL] or 0)
  end
  note_children(id, job)
  local parent = job[STATE] >= COMPLETED and parent_of(job)
  if parent then
    local unfinished = count_children(parent, 1, 0)
    -- One that was imported as ended may be missing from the counts, and joins them.
    if count_children(parent, count_of(job[STATE]), -1) == unfinished then count_children(parent, 1, 1) end
    repeat_state(job[PARENT], parent)
    note_uncounted(parent, id, job[SEQ], job[PARENT])
  end
  unindex(id, job)
  if job[ENDS] then
    job[EXPIRES_AT], job[DEADLINE], job[REASON] = 0, 0, 0
    keyed.tails().keep(job)
    remove_member(root .. 'timed', member_of(id, job))
  end
  if job[OUTPUT_AT] == 2 or job[PROGRESS] == 1 then write('HDEL', root .. 'x:' .. id, 'progress', 'output') end
  job[ATTEMPT], job[CRASHES] = 0, 0
  job[OUTPUT_AT], job[OUTPUT], job[PROGRESS], job[FINISHED_AT] = 0, '', 0, 0
  wait_until(job, now)
  index(id, job)
  return true
end

-- The data of a job with other args, which are the first of its values; false where it cannot be read.
local function data_with(id, args)
  local is_ours, data = pcall(cmsgpack.unpack, call('GET', root .. 'd:' .. id) or '')
  if not is_ours or type(data) ~= 'table' then return false end
  data[1] = args
  return cmsgpack.pack(data)
end

-- The number of a job's steps before one, and the names of that one and those after it; nothing if it has no such step. Steps without
-- times, which the previous release has recorded, come before the others, by name.
local function steps_around(id, step)
  local names, numbers, kept, forgotten = call('HKEYS', root .. 't:' .. id), {}, 0, {}
  for _, name in ipairs(names) do
    local times = call('HGET', root .. 'x:' .. id, 'step|' .. name) or ''
    numbers[name] = tonumber(string.match(times, '^(%d+)')) or 0
  end
  if not numbers[step] then return nil end
  for _, name in ipairs(names) do
    local number = numbers[name]
    if number > numbers[step] or number == numbers[step] and name >= step then
      forgotten[#forgotten + 1] = name
    else
      kept = kept + 1
    end
  end
  return kept, forgotten
end

local actions = {
  cancel = function(id, job)
    if job[STATE] >= COMPLETED then return false end
    local grace, reason = string.match(value, '^(%d+)|(%d+)$')
    if job[STATE] == RUNNING then
      return keyed.stopping().ask(id, job, min(END_OF_TIME, now + tonumber(grace)), tonumber(reason))
    end
    keyed.stopping().cancel(id, job, tonumber(reason))
    count_ended()
    return true
  end,
  -- The steps of one that did not complete stay, too.
  retry = function(id, job)
    if not is_over(job) then return false end
    local has_completed = job[STATE] == COMPLETED
    local is_done = start_anew(id, job)
    if is_done and has_completed then keyed.stopping().forget_steps(id, job) end
    return is_done
  end,
  -- The steps were those of the former args.
  retry_with = function(id, job)
    local data = is_over(job) and data_with(id, value)
    if not data or not start_anew(id, job) then return false end
    keyed.stopping().forget_steps(id, job)
    local n = #values
    values[n + 1], values[n + 2] = root .. 'd:' .. id, data
    return true
  end,
  -- A completed job has lost the outputs of its steps.
  retry_from = function(id, job)
    if not is_over(job) or job[STATE] == COMPLETED or job[STEPS] == 0 then return false end
    local step, args = unpack(cmsgpack.unpack(value))
    local kept, forgotten = steps_around(id, step)
    local data = forgotten and args and data_with(id, args)
    if not forgotten or args and not data or not start_anew(id, job) then return false end
    for _, name in ipairs(forgotten) do
      write('HDEL', root .. 't:' .. id, name)
      write('HDEL', root .. 'x:' .. id, 'step|' .. name)
    end
    job[STEPS] = kept
    if data then
      local n = #values
      values[n + 1], values[n + 2] = root .. 'd:' .. id, data
    end
    return true
  end,
  delete = function(id, job)
    if job[STATE] < COMPLETED then return false end
    remove(id, job)
    return true
  end,
  set_priority = function(id, job)
    -- A caller that repeats the action until it changes nothing must come to an end.
    if job[STATE] >= COMPLETED or job[PRIORITY] == tonumber(value) then return false end
    unindex(id, job)
    job[PRIORITY] = tonumber(value)
    -- After the seq, the batch and the version.
    job[FIXED] = sub(job[FIXED], 1, 20) .. struct_pack('>i4', job[PRIORITY]) .. sub(job[FIXED], 25)
    repeat_state(id, job)
    index(id, job)
    return true
  end,
}

local act, fits, states, parents = actions[ARGV[2]], filter_of(ARGV[5])
local ids, seqs, state_events, has_more = {}, {}, {}, false
if ARGV[7] == '' then
  for i = 8, #ARGV, 3 do
    local n = #ids + 1
    ids[n], seqs[n], state_events[n] = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  end
else
  local named = #ARGV > 8 and {}
  for i = 9, #ARGV do
    named[i - 8] = ARGV[i]
  end
  ids, seqs, has_more = find_candidates(ARGV[8], tonumber(ARGV[7]), states, parents, named)
end
read_jobs(ids)
local matched, acted, is_cut, changed_since = 0, 0, 0, 0
-- Those that fit, and those that have changed since they were looked at, before any is changed here: the cancel of its only child frees
-- a closing job, which does not come to fit by that, nor is it any other than it was.
local is_meant, is_changed = {}, {}
for i, id in ipairs(ids) do
  local job = jobs[id]
  local is_there = job and job[SEQ] == seqs[i]
  is_changed[i] = is_there and state_events[i] and job[STATE_EVENT] ~= state_events[i]
  is_meant[i] = is_there and fits(job)
end
for i, id in ipairs(ids) do
  local job = jobs[id]
  if job and job[SEQ] == seqs[i] then
    if is_changed[i] then
      changed_since = changed_since + 1
    elseif is_meant[i] and fits(job) then
      if acted == limit then
        is_cut = 1
        break
      end
      matched = matched + 1
      if act(id, job) then acted = acted + 1 end
    end
  end
end
done()
return { matched, acted, is_cut, changed_since, has_more and seqs[#seqs] or 0, told }
