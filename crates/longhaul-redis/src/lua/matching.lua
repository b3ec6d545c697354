-- Holds jobs against the part of a filter that scripts look at: {{state}, {kind}, {queue}, {parent}, {limit key}}, an empty
-- list for any. Labels and args are among the data, which scripts do not read.

local function set_of(words)
  if #words == 0 then return false end
  local set = {}
  for _, word in ipairs(words) do
    set[word] = true
  end
  return set
end

-- True where any of a job's limit keys is in a set. What it prefers stands behind them.
local function has_any(text, set)
  for key in string.gmatch(string.match(text, '^[^;]*'), '[^,]+') do
    if set[key] then return true end
  end
  return false
end

-- A function that answers true for jobs which fit a packed filter; the sets of states and parents, or false for any; and true
-- where it looks at more than the state.
local function filter_of(packed_filter)
  local wanted = cmsgpack.unpack(packed_filter)
  local states, kinds, queues, parents = set_of(wanted[1]), set_of(wanted[2]), set_of(wanted[3]), set_of(wanted[4])
  local limit_keys = set_of(wanted[5])
  local function fits(job)
    return (not states or states[job[STATE]])
      and (not kinds or kinds[job[KIND]])
      and (not queues or queues[job[QUEUE]])
      and (not parents or parents[job[PARENT]])
      and (not limit_keys or has_any(job[LIMIT_KEY], limit_keys))
  end
  return fits, states, parents, kinds or queues or parents or limit_keys
end
