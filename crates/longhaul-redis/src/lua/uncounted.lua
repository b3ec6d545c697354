-- The use of limit keys by running jobs that the keys do not count: see `limits.lua`.

-- The ids of the running jobs, and what each holds as it is stored, or false.
local function read_running()
  local ids = {}
  for _, member in ipairs(call('ZRANGEBYSCORE', running_key, '-inf', '(+inf')) do
    ids[#ids + 1] = id_of(member)
  end
  read_jobs(ids)
  return ids, groups().read_hash('holding', ids)
end

local function is_among(key, keys)
  return find(',' .. keys .. ',', ',' .. key .. ',', 1, true)
end

-- Has running jobs hold what they take of keys with slots or a rate, among those that `keys_of` tells of each. Answers by key how many
-- slots that is, and how many of these were not held before. What runs hold that have ended is given back before: by a later sweep it would
-- be taken from that count.
local function hold_running(keys_of)
  if keyed.is_holding then note_held_on(call('HGETALL', root .. 'holding')) end
  if next(keyed.ended) then flush() end
  local ids, held = read_running()
  local all_keys, keys_by_id, all, new, holds = {}, {}, {}, {}, {}
  for _, id in ipairs(ids) do
    local job = jobs[id]
    keys_by_id[id] = job and job[STATE] == RUNNING and keys_of(job) or {}
    for _, key in ipairs(keys_by_id[id]) do
      all_keys[#all_keys + 1] = key
    end
  end
  groups().load_keys(all_keys)
  for i, id in ipairs(ids) do
    local job = jobs[id]
    local _, held_keys = groups().read_hold(held[i])
    local keys, slots = held_keys or '', job and keyed.tails().cost_of(job)
    for _, key in ipairs(keys_by_id[id]) do
      if groups().has_limits(key) then
        all[key] = (all[key] or 0) + slots
        if not is_among(key, keys) then
          new[key] = (new[key] or 0) + slots
          keys = keys == '' and key or keys .. ',' .. key
        end
      end
    end
    if keys ~= (held_keys or '') then
      holds[#holds + 1] = id
      holds[#holds + 1] = groups().hold(slots, job[TOKEN], keys)
    end
  end
  write_all('HSET', root .. 'holding', holds)
  return all, new
end

-- The slots that running jobs have taken of keys without holding them, by key.
local function uncounted()
  local slots_of = {}
  local ids, held = read_running()
  for i, id in ipairs(ids) do
    local job = jobs[id]
    if job and job[STATE] == RUNNING and job[LIMIT_KEY] ~= '' then
      local slots, _, keys = keyed.tails().cost_of(job), groups().read_hold(held[i])
      for _, key in ipairs(groups().split(job[LIMIT_KEY])) do
        if not is_among(key, keys or '') then slots_of[key] = (slots_of[key] or 0) + slots end
      end
    end
  end
  return slots_of
end
