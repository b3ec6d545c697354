-- Limit keys: their limits, what is taken of these, and what they admit. All of it is made where a script needs it, because most jobs
-- have no keys. It repeats `lifecycle/limits.rs`.
--
-- Of a key that has neither slots nor a rate nothing is taken, because nothing depends on it: who sets its limits, or asks how many
-- slots it has taken, looks at the jobs that run (`uncounted.lua`). Where something is stored of it all the same, it is counted.

-- Values of the hashes of limit keys, of groups and of what runs hold are padded: with one beyond 64 bytes, and with one in an ordered
-- set, the server keeps a small one by hash, too, where it would else look through all of it for each of the fields that a call names.

-- The fields of what is taken of a key: slots; the microsecond at which all units of its rate are free; the rate by which that was
-- counted, or ''.
local USED, RATE_FREE_AT, RATE_OF = 1, 2, 3
-- The fields of a key's limits, of which each may be false but the weight: a rate is n in so many microseconds, a burst and a name;
-- a bound is how many may wait, and what happens then.
local SLOTS, WEIGHT, RATE_N, RATE_PER, RATE_BURST, RATE_NAME, LIMITS_JSON, MAX_WAITING, ON_FULL = 1, 2, 3, 4, 5, 6, 7, 8, 9
local EQUALS, BAR = 61, 124
-- The middle of a padded value of one digit, of a rate that is free.
local FREE = '|0000000000000000000000000000000000000000000000000000000000000000|'
local made_limits
-- The pauses of limit keys that this script is to write: key -> end.
local pauses = {}

local function limits()
  if made_limits then return made_limits end
  -- With room for what the groups add to it, too, because a table that grows costs more.
  local api = {
    configs = false, again = false, woken = false, split = false, read_hash = false, load_states = false, load_keys = false,
    note_pause = false, refuses = false, slots_of = false, seen = false, has_limits = false, take = false, count_taken = false,
    look_again = false, give_back = false, settle_rates = false, note_opens = false, forget = false, write_states = false,
    is_fair = false, is_limited = false, with_queue = false, turn_of = false, next_turn = false, load_groups = false, group = false,
    is_known = false, mark = false, siblings = false, add = false, remove = false, pop = false, move = false, settle = false,
  }
  made_limits = api
  local states, configs, own_configs, changed_states = {}, {}, {}, {}
  -- Key -> the end of its pause, where it has one. What is known of a key of which nothing is stored.
  local paused, untouched = {}, { 0, 0, '' }
  -- Key -> when time opens it, and the topics of those who wait for that; keys whose lists are to be looked at; topics of queues
  -- in which a group was opened.
  local opens, waits, again, woken = {}, {}, {}, {}
  api.configs, api.again, api.woken = configs, again, woken

  local splits = {}
  -- The limit keys of a job as a list, without what it prefers.
  local function split(text)
    local list = splits[text]
    if not list then
      list = {}
      local keys = find(text, ';', 1, true) and string.match(text, '^[^;]*') or text
      if not find(keys, ',', 1, true) then
        if keys ~= '' then list[1] = keys end
      else
        for key in string.gmatch(keys, '[^,]+') do
          list[#list + 1] = key
        end
      end
      splits[text] = list
    end
    return list
  end
  api.split = split

  local function read_hash(hash, fields)
    local found = {}
    for from = 1, #fields, ARGUMENTS do
      local to = min(from + ARGUMENTS - 1, #fields)
      for i, value in ipairs(call('HMGET', root .. hash, unpack(fields, from, to))) do
        found[from + i - 1] = value
      end
    end
    return found
  end
  api.read_hash = read_hash

  -- The lengths of the prefixes that have limits, the longest first; false where no key has any.
  local prefix_lengths

  local function read_limits(keys)
    if prefix_lengths == nil then
      prefix_lengths = call('EXISTS', root .. 'limit_config') == 1 and call('HKEYS', root .. 'limit_lengths')
      for i, length in ipairs(prefix_lengths or {}) do
        prefix_lengths[i] = tonumber(length)
      end
      if prefix_lengths then table.sort(prefix_lengths, function(a, b) return a > b end) end
    end
    local none, fields = { false, 1, false, 0, 0, '', false }, {}
    if not prefix_lengths then
      for _, key in ipairs(keys) do
        configs[key] = none
      end
      return
    end
    for _, key in ipairs(keys) do
      fields[#fields + 1] = key
      for _, length in ipairs(prefix_lengths) do
        if length <= #key then fields[#fields + 1] = sub(key, 1, length) .. '*' end
      end
    end
    local found, n = read_hash('limit_config', fields), 0
    for _, key in ipairs(keys) do
      configs[key] = none
      while n < #fields and (fields[n + 1] == key or sub(fields[n + 1], -1) == '*') do
        n = n + 1
        local is_ours, limits = pcall(cmsgpack.unpack, found[n] or '')
        if configs[key] == none and found[n] and is_ours and type(limits) == 'table' then
          configs[key] = limits
          own_configs[key] = fields[n] == key
        end
      end
    end
  end

  -- True where something is stored of any key.
  local is_counting

  -- Reads what is taken of keys, in one go.
  local function load_states(keys)
    local missing = {}
    for _, key in ipairs(keys) do
      if not states[key] then
        states[key] = untouched
        missing[#missing + 1] = key
      end
    end
    if is_counting == nil then is_counting = call('EXISTS', root .. 'limits') == 1 end
    for i, stored in ipairs(is_counting and read_hash('limits', missing) or {}) do
      local used, free_at, rate
      -- Most are of few slots and a free rate: to match a pattern costs more.
      if stored and sub(stored, 2, 67) == FREE then
        used, rate = sub(stored, 1, 1), sub(stored, 68)
      elseif stored then
        used, free_at, rate = string.match(stored, '^(%d+)|0*(%d*)|(.*)$')
      end
      -- Most rates are free, and a number costs to be read.
      if stored then states[missing[i]] = { tonumber(used) or 0, free_at and free_at ~= '' and tonumber(free_at) or 0, rate or '' } end
    end
  end

  api.load_states = load_states

  -- Reads the limits and pauses of keys, too.
  local function load_keys(keys)
    load_states(keys)
    local missing = {}
    for _, key in ipairs(keys) do
      if not configs[key] then
        configs[key] = true
        missing[#missing + 1] = key
      end
    end
    if #missing == 0 then return end
    if call('EXISTS', root .. 'paused') == 1 then
      for from = 1, #missing, ARGUMENTS do
        local to = min(from + ARGUMENTS - 1, #missing)
        for i, until_then in ipairs(call('ZMSCORE', root .. 'paused', unpack(missing, from, to))) do
          if until_then then paused[missing[from + i - 1]] = tonumber(until_then) end
        end
      end
    end
    for key, until_then in pairs(pauses) do
      paused[key] = until_then
    end
    read_limits(missing)
  end
  api.load_keys = load_keys

  -- Has a key know of its pause that this script is to write, where its state was read before.
  function api.note_pause(key)
    paused[key] = pauses[key]
  end

  -- The microseconds that units of a rate take, rounded up.
  local function micros(limits, units)
    local rest = limits[RATE_PER] % limits[RATE_N]
    return (limits[RATE_PER] - rest) / limits[RATE_N] * units + math.ceil(rest * units / limits[RATE_N])
  end

  -- From when on the rate of a key lets a job of so many units start, where that is later than now.
  local function rate_admits_at(key, units)
    local limits, state = configs[key], states[key]
    if not limits[RATE_N] or state[RATE_OF] ~= limits[RATE_NAME] or units == 0 then return nil end
    local at = state[RATE_FREE_AT]
    if units <= limits[RATE_BURST] then at = at + micros(limits, units) - micros(limits, limits[RATE_BURST]) end
    local rest = at % 1000
    at = (at - rest) / 1000 + (rest > 0 and 1 or 0)
    return at > now and at or nil
  end

  -- Until when a key keeps a job of this cost back: beyond all times where a slot must be given back, nil where it admits the job.
  local function refuses(key, slots, units)
    local limits, state, until_then = configs[key], states[key], paused[key]
    if until_then and until_then > now then return until_then end
    if limits[SLOTS] and state[USED] > 0 and state[USED] + slots > limits[SLOTS] then return math.huge end
    return rate_admits_at(key, units)
  end
  api.refuses = refuses

  -- The number of slots of a key, and the number that is used, if nothing else limits it; false if it has a rate or is paused.
  function api.slots_of(key)
    local limits, until_then = configs[key], paused[key]
    if limits[RATE_N] or until_then and until_then > now then return false end
    return limits[SLOTS] or math.huge, states[key][USED]
  end

  -- The state of a key for a list: whether it has limits of its own, the limits that apply, the used slots, the end of its pause, and the
  -- time at which its rate admits so many units.
  function api.seen(key, units)
    local limits, state, paused_until = configs[key], states[key], paused[key] or 0
    if paused_until <= now then paused_until = 0 end
    return own_configs[key], limits[LIMITS_JSON], state[USED], paused_until, rate_admits_at(key, units) or 0
  end

  -- True for a key with slots or a rate.
  function api.has_limits(key)
    return configs[key][SLOTS] or configs[key][RATE_N]
  end

  -- True for a key of which what is taken is counted, so that it may be changed.
  local function is_counted(key)
    if states[key] ~= untouched then return true end
    if not api.has_limits(key) then return false end
    states[key] = { 0, 0, '' }
    return true
  end

  -- Takes slots and units of a rate from keys, and answers those of which that is counted.
  function api.take(keys, slots, units)
    local counted, are_all = '', true
    for _, key in ipairs(split(keys)) do
      if is_counted(key) then
        local limits, state = configs[key], states[key]
        state[USED] = state[USED] + slots
        if limits[RATE_N] then
          local free_at = state[RATE_OF] == limits[RATE_NAME] and state[RATE_FREE_AT] or 0
          state[RATE_FREE_AT], state[RATE_OF] = max(free_at, now * 1000) + micros(limits, units), limits[RATE_NAME]
        else
          state[RATE_FREE_AT], state[RATE_OF] = 0, ''
        end
        changed_states[key] = true
        counted = counted == '' and key or counted .. ',' .. key
      else
        are_all = false
      end
    end
    return are_all and keys or counted
  end

  -- Counts slots that runs have taken which began before a key was counted.
  function api.count_taken(key, slots)
    if not is_counted(key) then return end
    states[key][USED] = states[key][USED] + slots
    changed_states[key] = true
  end

  -- Has a key's lists looked at again. The limits of a queue have none: claims of it look.
  local function look_again(key)
    if string.byte(key) == EQUALS then
      woken['q' .. sub(key, 2)] = true
    else
      again[key] = true
    end
  end
  -- Has the lists of a key looked at when all is written.
  api.look_again = look_again

  local function give_back(keys, slots)
    for _, key in ipairs(split(keys)) do
      if states[key] ~= untouched then
        states[key][USED] = max(states[key][USED] - slots, 0)
        changed_states[key] = true
      end
      look_again(key)
    end
  end
  api.give_back = give_back

  -- Has the rates of keys count what a run has taken in truth, instead of the units that its start took. A rate that was set since
  -- has not counted it.
  function api.settle_rates(keys, units, actual)
    load_keys(split(keys))
    for _, key in ipairs(split(keys)) do
      local limits, state = configs[key], states[key]
      if limits[RATE_N] and limits[RATE_NAME] == state[RATE_OF] then
        local free_at = max(state[RATE_FREE_AT], now * 1000) + micros(limits, actual) - micros(limits, units)
        state[RATE_FREE_AT] = max(free_at, now * 1000)
        changed_states[key] = true
        look_again(key)
      end
    end
  end

  -- Notes when time opens a key that keeps back a group of a queue, where there is one.
  function api.note_opens(key, at, queue)
    if at == math.huge then return end
    opens[key] = min(opens[key] or at, at)
    if queue then waits['q' .. queue] = true end
  end

  -- Forgets what is taken of a key, where that is nothing.
  function api.forget(key)
    load_states({ key })
    changed_states[key] = true
  end

  function api.write_states()
    local kept, gone = {}, {}
    for key in pairs(changed_states) do
      local state = states[key]
      if state[USED] == 0 and state[RATE_FREE_AT] <= now * 1000 then
        gone[#gone + 1] = key
        state[RATE_FREE_AT], state[RATE_OF] = 0, ''
      else
        kept[#kept + 1] = key
        local free_at = state[RATE_FREE_AT]
        kept[#kept + 1] = free_at == 0 and format('%d', state[USED]) .. FREE .. state[RATE_OF]
          or format('%d|%064d|%s', state[USED], free_at, state[RATE_OF])
      end
    end
    write_all('HDEL', root .. 'limits', gone)
    write_all('HSET', root .. 'limits', kept)
    changed_states = {}
    local due = {}
    for key, at in pairs(opens) do
      due[#due + 1] = format('%d', at)
      due[#due + 1] = key
    end
    local changed = 0
    for from = 1, #due, ARGUMENTS do
      local to = min(from + ARGUMENTS - 1, #due)
      changed = changed + (write_now('ZADD', root .. 'opens', 'LT', 'CH', unpack(due, from, to)) or 0)
    end
    -- Claims that wait must know when to look again.
    for topic in pairs(changed > 0 and waits or {}) do
      woken[topic] = true
    end
    opens, waits = {}, {}
  end

  return api
end
