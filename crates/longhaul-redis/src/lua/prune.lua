-- Removes ended jobs that the retention of their queues no longer covers, and notes when there will be more.
--
-- ARGV[2]   how many to remove at most
-- ARGV[3]   '1' where the caller wants to be told of changes
-- ARGV[4..] places: a queue, a state, how many are kept or -1 for any number, and how old they may become in
--           milliseconds or -1 for any age
-- Returns   how many were removed, how many of the places were done with, and the changes of state or false

if ARGV[3] == '1' then note_changes() end
local limit = tonumber(ARGV[2])

-- Notes when a place is due again: when its oldest job comes of age, or one that does not count yet begins to. Where the oldest
-- holds its key for a time to come, one that ends sooner may come of age before it.
local function note_next(key, place, kept, age)
  local oldest = age >= 0 and call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  local uncounted = kept >= 0 and call('ZRANGEBYSCORE', key, '(' .. digits(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local next_due = min(oldest and min(tonumber(oldest), now) + age or math.huge, uncounted and tonumber(uncounted) or math.huge)
  if next_due < math.huge then
    write_now('ZADD', root .. 'prune', digits(max(next_due, now + 1)), place)
  else
    write_now('ZREM', root .. 'prune', place)
  end
end

-- True where a job's parent has not ended, or one of the first jobs that depend on it.
local function is_awaited(job)
  local parent = job[PARENT] and job_of(job[PARENT])
  if parent and parent[STATE] < COMPLETED then return true end
  if job[AWAITED] ~= 1 then return false end
  local entries, ids = call('ZRANGE', root .. 'dependants|' .. digits(job[SEQ]), 0, DEPENDANTS_LOOKED_AT - 1), {}
  for i, entry in ipairs(entries) do
    ids[i] = sub(entry, 17)
  end
  read_jobs(ids)
  for i, entry in ipairs(entries) do
    local dependant = jobs[ids[i]]
    if dependant and dependant[SEQ] == seq_of(entry) and dependant[STATE] < COMPLETED then return true end
  end
  return false
end

-- Prunes one place of at most `most`, and answers how many were looked at and how many removed.
local function prune(queue, state, kept, age, most)
  local key = ended_of(queue, state)
  -- A job whose key is held is the answer that others will be given: it stays, and does not count.
  local excess = kept < 0 and 0 or call('ZCOUNT', key, '-inf', now) - kept
  local too_old = age < 0 and -1 or now - age
  local found = call('ZRANGEBYSCORE', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  local old = {}
  for i = 1, #found, 2 do
    if (i + 1) / 2 > excess and tonumber(found[i + 1]) > too_old then break end
    old[#old + 1] = found[i]
  end
  local there = jobs_at(key, old, state, state)
  local removed = 0
  for _, id in ipairs(there) do
    local job = jobs[id]
    if is_awaited(job) then
      add_member(key, now + AWAITED_FOR, member_of(id, job))
    else
      remove(id, job)
      removed = removed + 1
    end
  end
  return #old, removed
end

local looked_at, pruned, finished = 0, 0, 0
for i = 4, #ARGV, 4 do
  local most = limit - looked_at
  if most == 0 then break end
  local queue, state, kept, age = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local old, gone = prune(queue, state, kept, age, most)
  flush()
  looked_at = looked_at + old
  pruned = pruned + gone
  if old < most then
    finished = finished + 1
    note_next(ended_of(queue, state), queue .. '|' .. ARGV[i + 1], kept, age)
  end
end
done()
return { pruned, finished, told }
