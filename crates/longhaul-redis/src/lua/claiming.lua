-- Gives jobs to workers: for the scripts that claim.

-- Due jobs that one claim promotes. Where there are more, the claim says that the next is due at once.
local PROMOTED_AT_ONCE = 100
-- Available jobs that one claim looks at, so that no script keeps heartbeats waiting.
local LOOKED_AT_ONCE = 500

-- Jobs that are over and wait to be cancelled by a sweep, which one claim passes over.
local OVER_AT_ONCE = 1000

-- The claim sources of a queue that a worker takes jobs of; true where one has open groups of jobs with limit keys; and the names of all
-- lanes. Only those that are not empty are looked at, because a version may be any number, and kinds that the worker does not know may
-- be many.
local function known_sources(queue, kinds)
  local keys, has_groups, names = {}, false, call('SMEMBERS', root .. 'lanes|' .. queue)
  for _, name in ipairs(names) do
    local kind, version = string.match(name, '^(.*)|(%d+)$')
    if not kind then
      kind, version = string.match(name, '^([^;]*).*|(%d+)|groups$')
      has_groups = has_groups or kind and kinds[kind] and tonumber(version) <= kinds[kind]
    elseif kinds[kind] and tonumber(version) <= kinds[kind] then
      keys[#keys + 1] = source_of(queue, kind, version)
    end
  end
  return keys, has_groups, names
end

-- The first members of a claim source that this script has not taken and that have no limit keys, with what a ZRANGEBYSCORE is
-- told besides.
local function first_of(key, slots, ...)
  return call('ZRANGEBYSCORE', key, '-inf', PLAIN, 'LIMIT', popped[key] or 0, slots, ...)
end

-- Takes the first jobs of several sources in the order of their ranks. Those that are over stay where they are.
local function pop_merged(keys, slots)
  local all, first, over = {}, {}, keyed.over
  for _, key in ipairs(keys) do
    local found = first_of(key, slots + (over and #over or 0), 'WITHSCORES')
    for i = 1, #found, 2 do
      if not (over and over[found[i]]) then all[#all + 1] = { found[i], tonumber(found[i + 1]), key } end
    end
  end
  table.sort(all, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  for i = 1, min(slots, #all) do
    first[i] = all[i][1]
    if over then remove_member(all[i][3], first[i]) else pop(all[i][3], 1) end
  end
  return first
end

-- Takes the first jobs without limit keys out of their sources, at most `slots`, and answers their members in the order in which
-- they are claimed.
local function pop_first(keys, slots)
  if #keys ~= 1 or keyed.over then return pop_merged(keys, slots) end
  local found = first_of(keys[1], slots)
  if #found > 0 then pop(keys[1], #found) end
  return found
end

-- The claim source that a member is in, for an error alone.
local function source_with(queue, member)
  for key, source in pairs(sources) do
    if source[1] == queue and call('ZSCORE', key, member) then return key end
  end
  return source_of(queue, '', 1)
end

-- The limit keys of a job without a place among the groups: a process of an older release has made it available. Most jobs have
-- none, and two lengths of zero say so. It is given the packed fields and where those begin that do not change.
local function limit_keys_of(fields, at, queue)
  local high, low = string.byte(fields, at + 38 + #queue, at + 39 + #queue)
  local from = at + 40 + #queue + 256 * high + low
  local a, b, c, d = string.byte(fields, from, from + 3)
  if a + b + c + d == 0 then return '' end
  return struct_unpack('>I2c0', fields, from + 2 + 256 * a + b)
end

local function put_into_group(id, fields, member)
  local job = decode(fields)
  local lane, score = place_of(job)
  add_member(lane, score, member)
  regroup(id, job, member, score)
end

-- Makes jobs of one queue run, which have left their source already, and adds the id, fields, data and number of steps of
-- each to `claimed`. What does not change of them is hardly read, and no table is made of what does: this is done for every job
-- there is. Answers how many there were, and how many were put into their groups instead: those with limit keys that are not
-- among the `costs` of this claim. `source` is the one that all of them are of, where it is one; `ids`, `keys` and `records` are
-- their ids and records and the keys of these, where they have been read.
local function take(found, queue, worker, lease_until, claimed, costs, source, ids, keys, records)
  -- The offsets of the lengths of a unique key and of limit keys, after a queue and a kind.
  local kind_at = source and #root + #queue + 7
  local keys_at = source and 39 + #queue + find(source, '|', kind_at, true) - kind_at
  local many = #found
  if not records then
    ids, keys = {}, {}
    for i, member in ipairs(found) do
      local id = id_of(member)
      ids[i], keys[i] = id, root .. 'm:' .. id
    end
  end
  local prefix = root .. 'd:'
  for i = 1, many do
    keys[many + i] = prefix .. ids[i]
  end
  local read = many > 0 and call('MGET', unpack(keys, records and many + 1 or 1)) or {}
  local data_at = records and 0 or many
  local running, taken, left, moved, strays = list_of(added, running_key), 0, 0, 0, 0
  local n, v, c, until_text = #running, #values, #claimed, digits(lease_until)
  local try, read_fields, write_fields, rest_of = pcall, struct_unpack, struct_pack, sub
  for i, id in ipairs(ids) do
    local fields, data = (records or read)[i], read[data_at + i]
    if fields and data then
      local is_ours, state, run_at, attempt, crashes, interruptions, _, _, finished_at, _, _, last_event, _, _, log, steps,
        errors, progress, output_at, _, output, children, at = try(read_fields, CHANGING, fields)
      if not is_ours then
        fail_damaged(source_with(queue, found[i]), found[i], AVAILABLE)
      elseif read_fields('>i8', fields, at) ~= tonumber(rest_of(found[i], 1, 16)) then
        -- It is of another job, whose record is lost: the one that was made anew under its id stands beside it.
        strays = strays + 1
      elseif state == AVAILABLE and not (keys_at and rest_of(fields, at + keys_at + 1, at + keys_at + 4) == '\0\0\0\0')
        and not (costs and costs[id]) and limit_keys_of(fields, at, queue) ~= '' then
        moved = moved + 1
        put_into_group(id, fields, found[i])
      elseif state == AVAILABLE then
        if keyed.is_bounded then keyed.bounds().note(queue, limit_keys_of(fields, at, queue), found[i], -1) end
        attempt, last_event = attempt + 1, last_event + 1
        -- Tells readers to drop what earlier attempts wrote, where they wrote anything since they were last told.
        if log == 2 then
          write_event(id, last_event, attempt, '"reset"')
          log, last_event = 1, last_event + 1
        end
        fields = write_fields(CHANGING_AND_REST, RUNNING, run_at, attempt, crashes, interruptions, draw(), now, finished_at,
          lease_until, 0, last_event, last_event, now, log, steps, errors, progress, output_at, #worker, worker, #output,
          output, #children, children, rest_of(fields, at))
        running[n + 1], running[n + 2] = until_text, found[i]
        values[v + 1], values[v + 2] = keys[i], fields
        n, v = n + 2, v + 2
        if is_watched then topics['j' .. id] = true end
        taken = taken + 1
        claimed[c + taken] = { id, fields, data, steps }
      end
    else
      -- A part of its data is missing; the rest is removed, too.
      left = left + 1
      forget_job(id)
    end
  end
  count(queue, AVAILABLE, -taken - left - strays)
  count(queue, RUNNING, taken)
  return taken, moved
end

-- The highest version of each kind that a worker knows, by kind, of {{kind, version}}.
local function versions_of(wanted)
  local kinds = {}
  for _, kind in ipairs(wanted) do
    kinds[kind[1]] = max(kinds[kind[1]] or 0, kind[2])
  end
  return kinds
end

-- Gives jobs to a worker. `wanted` is worker, lease_for, {{queue, slots}}, {{kind, version}}, true where the caller
-- waits, true where it wants to be told of changes, and the labels of its worker as 'label=value'. Answers the time; when the next job falls due or -1; 1 where there is
-- more to look at, 2 where so many jobs are over that a sweep must end them first, 3 where ends are to be counted that may free
-- jobs; the changes of state but for the jobs that are claimed, or false; and for each of these its id, fields, data and steps.
local function claim(wanted)
  local worker, lease_for, queues, kinds, waits, tells, labels = unpack(wanted)
  if tells then note_changes() end
  local _, due = promote(PROMOTED_AT_ONCE)
  local any_paused =
    call('EXISTS', root .. 'paused_queues', root .. 'opens', root .. 'timed', root .. 'waking', root .. 'settling') > 0
  -- The members of jobs whose time is over, in a list and as a set.
  local over = any_paused and call('ZRANGEBYSCORE', root .. 'timed', '-inf', now, 'LIMIT', 0, OVER_AT_ONCE)
  if over and #over == OVER_AT_ONCE then
    done()
    return { now, -1, 2, told }
  end
  for i, member in ipairs(over or {}) do
    over[member] = i
  end
  keyed.over = over and #over > 0 and over
  local has_due_keys = any_paused and call('ZCOUNT', root .. 'opens', '-inf', now) > 0 and groups().due()
  local woken = any_paused and promote(PROMOTED_AT_ONCE, root .. 'waking', BLOCKED) or 0
  local is_settling = any_paused and call('EXISTS', root .. 'settling') == 1
  -- Only scripts that end runs, too, have what counts ends.
  if is_settling and keyed.dependants then keyed.dependants().work_off(count_ended) end
  local must_flush = has_due_keys or due + woken > 0 or is_settling
  if not must_flush and next(keyed.ended) then
    local gone = groups().free_early(keyed.ended)
    must_flush = not gone
    if gone then
      keyed.ended = {}
      if #gone > 0 then write('HDEL', root .. 'holding', unpack(gone)) end
    end
  end
  if must_flush then flush() end
  kinds = versions_of(kinds)
  local claimed, left = {}, LOOKED_AT_ONCE
  for _, queue in ipairs(queues) do
    local name, slots = queue[1], queue[2]
    if any_paused and call('SISMEMBER', root .. 'paused_queues', name) == 1 then slots = 0 end
    if keyed.is_fair then choosing().go_on_with_places(name) end
    while slots > 0 and left > 0 do
      local asked = min(slots, left)
      local taken, moved, looked_at
      local keys, has_groups, lanes = known_sources(name, kinds)
      if has_groups or keyed.is_fair and groups().is_fair(name) or keyed.is_limited and groups().is_limited(name) then
        local costs, before = {}, #claimed
        local found, ids, record_keys, records = choosing_simply()(name, lanes, kinds, asked, costs)
        local is_cut
        if not found then
          found, is_cut = choosing().choose(name, kinds, labels, asked, costs)
        end
        looked_at = is_cut and left or #found
        taken, moved = take(found, name, worker, now + lease_for, claimed, costs, nil, ids, record_keys, records)
        choosing().hold_slots(claimed, before + 1, costs)
        -- The next choice must see all these changes.
        if taken < asked or keyed.over then flush() end
        moved = moved + #found - taken
      else
        local found = pop_first(keys, asked)
        looked_at = #found
        taken, moved = take(found, name, worker, now + lease_for, claimed, nil, #keys == 1 and keys[1])
        if moved > 0 or keyed.over then flush() end
        moved = moved + (#found == asked and 1 or 0)
      end
      slots, left = slots - taken, max(left - looked_at, 0)
      if moved == 0 then break end
    end
  end
  local next_due = -1
  done()
  if #claimed == 0 and waits then
    for _, queue in ipairs(queues) do
      write_now('SADD', root .. 'watched', 'q' .. queue[1])
    end
    next_due = next_change()
  end
  local answer, n = { now, next_due, is_settling and 3 or left == 0 and 1 or 0, told }, 4
  for _, job in ipairs(claimed) do
    local id = job[1]
    answer[n + 1], answer[n + 2], answer[n + 3] = id, job[2], job[3]
    answer[n + 4] = job[4] > 0 and redis.pcall('HGETALL', root .. 't:' .. id) or false
    n = n + 4
  end
  return answer
end
