-- Reads limit keys, by name.
--
-- ARGV[2], ARGV[3]  what names begin with, and the name behind which to begin
-- ARGV[4]           the queue in which jobs of them wait, or ''
-- ARGV[5], ARGV[6]  how many at most, and how far waiting jobs are counted
-- ARGV[7]           the units of its rate that a start is to take
-- ARGV[8..]         names, where only these are meant
-- Returns           for each its name, its own limits in JSON or false, those that hold in JSON or false, how many jobs wait, how
--                   many slots are taken, the end of its pause or 0, and when its rate admits a start or 0

local prefix, after, in_queue, limit, furthest = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
-- The names that one step reads of each index.
local AT_ONCE = 100

local queues = {}
for _, place in ipairs(call('HKEYS', root .. 'counts')) do
  local queue, state = string.match(place, '^(.*)|(%d)$')
  if tonumber(state) == AVAILABLE and (in_queue == '' or queue == in_queue) then queues[#queues + 1] = queue end
end

-- The number of jobs that wait with a key. The index of groups names each with a space behind the key, which is less than all that
-- names are made of.
local function waiting_of(key)
  local many = 0
  for _, queue in ipairs(queues) do
    local found =
      call('ZRANGEBYLEX', root .. 'hung|' .. queue, '[' .. key .. ' ', '(' .. key .. '!', 'LIMIT', 0, furthest)
    for _, member in ipairs(found) do
      if many >= furthest then return furthest end
      many = many + call('ZCARD', root .. 'group|' .. queue .. '|' .. sub(member, #key + 2))
    end
  end
  return min(many, furthest)
end

local function fits(name)
  return name > after and sub(name, 1, #prefix) == prefix and sub(name, 1, 1) ~= '='
end

-- The keys that are paused, or of which something is taken: hardly more than there are running jobs.
local taken = call('HKEYS', root .. 'limits')
-- Slots that nothing counts, by key: read where they are asked for.
local uncounted_slots = #ARGV <= 7 and uncounted()
for name in pairs(uncounted_slots or {}) do
  taken[#taken + 1] = name
end
for _, name in ipairs(call('ZRANGEBYSCORE', root .. 'paused', '(' .. digits(now), '+inf')) do
  taken[#taken + 1] = name
end

-- The next names of all indexes.
local function next_names()
  local names, list = {}, {}
  local first = after >= prefix and after ~= '' and '(' .. after or prefix ~= '' and '[' .. prefix or '-'
  local last = prefix == '' and '+' or '(' .. prefix .. '\255'
  if in_queue == '' then
    for _, name in ipairs(call('ZRANGEBYLEX', root .. 'named', first, last, 'LIMIT', 0, AT_ONCE)) do
      names[name] = true
    end
    for _, name in ipairs(taken) do
      if fits(name) then names[name] = true end
    end
  end
  for _, queue in ipairs(queues) do
    local from, many, found = first, 0, nil
    if sub(from, 1, 1) == '(' then from = from .. '!' end
    repeat
      found = call('ZRANGEBYLEX', root .. 'hung|' .. queue, from, last, 'LIMIT', 0, AT_ONCE)
      for _, member in ipairs(found) do
        local name = string.match(member, '^[^ ]*')
        if not names[name] then many = many + 1 end
        names[name], from = true, '(' .. name .. '!'
      end
    until #found < AT_ONCE or many >= AT_ONCE
  end
  for name in pairs(names) do
    list[#list + 1] = name
  end
  table.sort(list)
  -- Keys after these may be missing some in between.
  for n = #list, AT_ONCE + 1, -1 do
    list[n] = nil
  end
  return list
end

local answer, n = {}, 0

local function add(names)
  local plain = {}
  for _, name in ipairs(names) do
    if sub(name, -1) ~= '*' then plain[#plain + 1] = name end
  end
  groups().load_keys(plain)
  for _, name in ipairs(names) do
    if n >= 7 * limit then return end
    local own, limits, used, paused_until, free_at, waiting
    if sub(name, -1) == '*' then
      local is_ours, packed_limits = pcall(cmsgpack.unpack, call('HGET', root .. 'limit_config', name) or '')
      limits = is_ours and type(packed_limits) == 'table' and packed_limits[LIMITS_JSON] or false
      own, used, paused_until, free_at, waiting = limits, 0, 0, 0, 0
    else
      own, limits, used, paused_until, free_at = groups().seen(name, tonumber(ARGV[7]))
      waiting = waiting_of(name)
      if not groups().has_limits(name) then
        uncounted_slots = uncounted_slots or uncounted()
        used = used + (uncounted_slots[name] or 0)
      end
    end
    local is_wanted = #ARGV > 7 or own or used > 0 or paused_until > 0 or waiting > 0
    if is_wanted and (in_queue == '' or waiting > 0) then
      answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = name, own and limits or false, limits, waiting
      answer[n + 5], answer[n + 6], answer[n + 7] = used, paused_until, free_at
      n = n + 7
    end
  end
end

if #ARGV > 7 then
  local names, seen = {}, {}
  for i = 8, #ARGV do
    if fits(ARGV[i]) and not seen[ARGV[i]] then
      names[#names + 1], seen[ARGV[i]] = ARGV[i], true
    end
  end
  table.sort(names)
  add(names)
else
  repeat
    local names = next_names()
    add(names)
    after = names[#names] or after
  until #names == 0 or n >= 7 * limit
end
return answer
