-- Writes jobs that another store has kept.
--
-- ARGV[2..]  packed jobs: see the names below. SEQ and BATCH are 0 among the fields, and LEFT is counted here
-- Returns    for each 1 where it is there now, 0 where it was there already, 2 where it was removed a short while ago

-- The id; the fields; the data; fields and values of the hash beside; errors; names and outputs of steps; the log as numbers, times,
-- attempts and bodies; until when it holds its unique key (0: as long as it is there) or false; whether its parent counts it; the jobs
-- that it depends on as ids, '1' where any end of that counts or else '0', and whether it was counted; why it is to be cancelled, or false.
local NAME, FIELDS, WORKLOAD, BESIDE, FAILURES, DONE_STEPS, ENTRIES_KEPT, HOLDS, IS_COUNTED = 1, 2, 3, 4, 5, 6, 7, 8, 9
local DEPENDENCIES, CANCELLED_FOR = 10, 11

-- Runs a command over any number of pairs.
local function write_pairs(command, key, pairs_of)
  for from = 1, #pairs_of, ARGUMENTS do
    write(command, key, unpack(pairs_of, from, min(from + ARGUMENTS - 1, #pairs_of)))
  end
end

local function is_gone(id)
  local known_until = call('ZSCORE', root .. 'gone', id)
  return known_until and tonumber(known_until) > now
end

-- True where a job is still to be given a child that it was imported with as unfinished, which is then given.
local function expects_child(parent)
  local seq = digits(parent[SEQ])
  local many = tonumber(call('HGET', root .. 'expected', seq) or 0)
  if many > 1 then
    write_now('HINCRBY', root .. 'expected', seq, -1)
  elseif many == 1 then
    write_now('HDEL', root .. 'expected', seq)
  end
  return many > 0
end

-- Gives the job to its parent, and answers the parent's seq where that one counts it, or 0: one that was imported without it, or that is
-- another job of the same id, counts it as it would count a new one. An ended job is counted if it is run again.
local function to_parent(id, job, seq, is_counted)
  if not job[PARENT] then return 0 end
  add_member(root .. 'of|' .. job[PARENT], seq, id)
  local parent = is_counted and job_of(job[PARENT])
  if not parent then return 0 end
  if job[STATE] >= COMPLETED then return parent[CHILDREN] ~= '' and parent[SEQ] or 0 end
  if not expects_child(parent) then return join(id, seq, job[PARENT]) end
  note_uncounted(parent, id, seq, job[PARENT])
  return parent[SEQ]
end

-- Makes the job depend on those that are there. Answers those that have ended since, as ids and jobs in turn, and how many it waits for.
local function to_dependencies(id, job, list)
  local ended, left, entry = {}, 0, format('%016d', job[SEQ]) .. id
  for n = 1, #list, 3 do
    local other_id, ends, is_settled = list[n], list[n + 1], list[n + 2]
    local other = job_of(other_id)
    if other then
      if other[AWAITED] ~= 1 then
        keyed.tails().begin(other)
        other[AWAITED] = 1
        keyed.tails().keep(other)
        changed[other_id] = true
      end
      local seq = digits(other[SEQ])
      add_member(root .. 'dependants|' .. seq, job[SEQ], entry)
      if not is_settled then
        left = left + 1
        add_member(root .. 'unsettled|' .. seq, job[SEQ], ends .. entry)
        add_member(root .. 'awaited', 0, member_of(other_id, other))
        if other[STATE] >= COMPLETED then ended[#ended + 1], ended[#ended + 2] = other_id, other end
      end
    end
  end
  return ended, left
end

-- Has a job wait for the jobs that it depends on, or go on where none of those is there that it waited for.
local function set_left(job, left)
  if not keyed.tails().waits_for(job, ON_JOBS) then return end
  job[LEFT] = left
  if left == 0 and job[CHILDREN] ~= '' and count_children(job, 1, 0) > 0 then
    job[WAITS_FOR] = ON_CHILDREN
  elseif left == 0 then
    job[WAITS_FOR] = 0
    job[STATE] = job[RUN_AT] > now and SCHEDULED or AVAILABLE
    job[RUN_AT] = max(job[RUN_AT], now)
  end
  keyed.tails().keep(job)
end

-- Gives the job its unique key again, unless another has it.
local function hold_again(id, job, held_until)
  if not held_until or job[UNIQUE] == '' or holder_of(job[UNIQUE]) then return end
  if held_until == 0 and job[STATE] >= COMPLETED then held_until = END_OF_TIME end
  if held_until == 0 or held_until > now then hold(job[UNIQUE], id, held_until) end
end

local function write_log(id, log)
  for n = 1, #log, 4 do
    write('XADD', root .. 'l:' .. id, log[n], 't', log[n + 1], 'n', log[n + 2], 'b', log[n + 3])
  end
end

local function import(kept)
  local id = kept[NAME]
  if job_of(id) or damaged[id] then return 0 end
  if is_gone(id) then return 2 end
  local job, seq = decode(kept[FIELDS]), draw()
  local batch = to_parent(id, job, seq, kept[IS_COUNTED])
  job[SEQ], job[BATCH] = seq, batch
  job[FIXED] = struct_pack('>i8i8', seq, batch) .. sub(job[FIXED], 17)
  jobs[id] = job
  local n = #values
  values[n + 1], values[n + 2] = root .. 'd:' .. id, kept[WORKLOAD]
  add_member(root .. 'all', seq, id)
  remove_member(root .. 'gone', id)
  write_pairs('HSET', root .. 'x:' .. id, kept[BESIDE])
  write_pairs('RPUSH', root .. 'e:' .. id, kept[FAILURES])
  write_pairs('HSET', root .. 't:' .. id, kept[DONE_STEPS])
  write_log(id, kept[ENTRIES_KEPT])
  local children = count_children(job, 1, 0)
  if children > 0 then write_now('HSET', root .. 'expected', digits(seq), digits(children)) end
  local ended, left = to_dependencies(id, job, kept[DEPENDENCIES])
  set_left(job, left)
  hold_again(id, job, kept[HOLDS])
  index(id, job)
  if job[STATE] >= COMPLETED then
    write('ZADD', root .. 'prune', 'LT', digits(now), job[QUEUE] .. '|' .. job[STATE])
  end
  flush()
  -- Dependencies that have ended here since are counted now.
  for i = 1, #ended, 2 do
    keyed.dependants().settle(ended[i], ended[i + 1])
  end
  if kept[CANCELLED_FOR] then keyed.stopping().cancel(id, job, kept[CANCELLED_FOR]) end
  count_ended()
  flush()
  return 1
end

local answers = {}
for i = 2, #ARGV do
  answers[i - 1] = import(cmsgpack.unpack(ARGV[i]))
end
done()
return answers
