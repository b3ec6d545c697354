-- Bounds of how many jobs may wait: of queues, and of limit keys. Made where a script needs them, as the limits are.

-- The treatments of a job above the bound.
local REFUSE, DROP_OLDEST, DROP_NEWEST = 0, 1, 2
-- The members that one look for the oldest reads at a time.
local OLDEST_AT_ONCE = 20

function keyed.bounds()
  local api = {}
  keyed.has_bounds, keyed.bounds = true, function() return api end
  -- 'qQUEUE' or 'kKEY' -> {n, what happens}, false where there is no bound; -> how many wait as this script leaves them; -> how many
  -- more these are than was written; members that come (true) and go (false).
  local known, counts_of, unwritten, noted = {}, {}, {}, {}

  -- The names of the bounds of jobs of a queue and limit keys.
  local function names_of(queue, keys)
    local names, name = {}, 'q' .. queue
    if known[name] == nil then
      local most, how = string.match(call('HGET', root .. 'bounds', name) or '', '^(%d+)|(%d)$')
      known[name] = most and { tonumber(most), tonumber(how) } or false
    end
    if known[name] then names[1] = name end
    local made = groups()
    local list = made.split(keys)
    made.load_keys(list)
    for _, key in ipairs(list) do
      local limits = made.configs[key]
      name = 'k' .. key
      known[name] = limits[MAX_WAITING] and { limits[MAX_WAITING], limits[ON_FULL] } or false
      if known[name] then names[#names + 1] = name end
    end
    return names
  end
  api.names_of = names_of

  -- Notes a job that waits from here on (1), or no more (-1).
  function api.note(queue, keys, member, difference)
    for _, name in ipairs(names_of(queue, keys)) do
      noted[name .. ' ' .. member] = difference > 0
      unwritten[name] = (unwritten[name] or 0) + difference
      if counts_of[name] then counts_of[name] = counts_of[name] + difference end
    end
  end

  local function count_of_name(name)
    if not counts_of[name] then
      local written = call('ZLEXCOUNT', root .. 'waiting', '[' .. name .. ' ', '(' .. name .. '!')
      counts_of[name] = written + (unwritten[name] or 0)
    end
    return counts_of[name]
  end

  -- True where no other job may come to wait.
  function api.is_full(name)
    return count_of_name(name) >= known[name][1]
  end

  -- The bounds of a queue and limit keys that another job would break: names, and what happens.
  function api.broken(queue, keys)
    local names, hows = {}, {}
    for _, name in ipairs(names_of(queue, keys)) do
      if api.is_full(name) then
        names[#names + 1], hows[#hows + 1] = name, known[name][2]
      end
    end
    return names, hows
  end

  -- Notes that what is there under a name does not wait: a process of an older release has taken it, or its record is lost.
  local function forget(name, text)
    noted[text] = false
    unwritten[name] = (unwritten[name] or 0) - 1
    counts_of[name] = count_of_name(name) - 1
  end

  -- The first id of those that wait with a bound, for which `is_waiting` answers true.
  function api.oldest(name, is_waiting)
    local from = '[' .. name .. ' '
    repeat
      local found = call('ZRANGEBYLEX', root .. 'waiting', from, '(' .. name .. '!', 'LIMIT', 0, OLDEST_AT_ONCE)
      for _, text in ipairs(found) do
        local id = string.match(text, '^%S+ %d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d([^|]*)')
        if noted[text] ~= false then
          if is_waiting(id) then return id end
          forget(name, text)
        end
        from = '(' .. text
      end
    until #found < OLDEST_AT_ONCE
    -- Those that this script adds are younger than all that are written.
    local first
    for text, is_there in pairs(noted) do
      if is_there and sub(text, 1, #name + 1) == name .. ' ' and (not first or text < first) then first = text end
    end
    return first and string.match(first, '^%S+ %d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d([^|]*)')
  end

  function api.write()
    local coming, going = {}, {}
    for text, is_there in pairs(noted) do
      if is_there then
        coming[#coming + 1] = 0
        coming[#coming + 1] = text
      else
        going[#going + 1] = text
      end
    end
    write_all('ZREM', root .. 'waiting', going)
    write_all('ZADD', root .. 'waiting', coming)
    noted, unwritten = {}, {}
  end

  return api
end
