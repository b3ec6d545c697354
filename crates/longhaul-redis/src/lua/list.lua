-- Lists jobs, newest first.
--
-- ARGV[2]    the seq before which they must have been enqueued, or '' for any
-- ARGV[3]    how many to look at
-- ARGV[4]    how many to answer at most
-- ARGV[5]    the packed filter: see `matching.lua`
-- ARGV[6]    the rows: 'whole', 'short' (without large args and outputs) or 'none'
-- ARGV[7..]  ids, where only these are meant
-- Returns    the seq of the last one that was looked at or -1, 1 where there are more, for each job that fits its id, its
--            seq, the number of its state, and the answer of `shown` or false, then how many were looked at, and the bytes
--            of the rows

-- The bytes of rows after which a call answers: args are up to 256 KiB, and no answer may keep others waiting for long.
local MOST_BYTES = 4194304

local before = ARGV[2] == '' and math.huge or tonumber(ARGV[2])
local scanned, limit, rows = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
local fits, states, parents = filter_of(ARGV[5])
local names_ids = #ARGV > 6

local newest = ARGV[2] == '' and '+inf' or '(' .. ARGV[2]
local candidates, more = {}, false

local function add(id, seq)
  candidates[#candidates + 1] = { id, seq }
end

-- Adds the newest of a set of ids by seq.
local function add_newest(key)
  local found = call('ZREVRANGEBYSCORE', key, newest, '-inf', 'WITHSCORES', 'LIMIT', 0, scanned + 1)
  for i = 1, #found, 2 do
    add(found[i], tonumber(found[i + 1]))
  end
end

-- There are never more of these than all workers have slots.
local function add_running()
  for _, member in ipairs(call('ZRANGEBYSCORE', running_key, '-inf', '(+inf')) do
    local seq = tonumber(sub(member, 1, 16))
    if seq < before then add(id_of(member), seq) end
  end
end

-- True where all wanted states have sets of their own, which hold far fewer jobs than there are.
local function is_of_few()
  for state in pairs(states or {}) do
    if not LISTED[state] and state ~= RUNNING then return false end
  end
  return states
end

if names_ids then
  local named, seen = {}, {}
  for i = 7, #ARGV do
    named[#named + 1] = ARGV[i]
  end
  read_jobs(named)
  for _, id in ipairs(named) do
    if jobs[id] and jobs[id][SEQ] < before and not seen[id] then
      seen[id] = true
      add(id, jobs[id][SEQ])
    end
  end
elseif parents then
  for parent in pairs(parents) do
    add_newest(root .. 'of|' .. parent)
  end
elseif is_of_few() then
  for state in pairs(states) do
    if state == RUNNING then
      add_running()
    else
      add_newest(LISTED[state])
    end
  end
else
  add_newest(root .. 'all')
end

table.sort(candidates, function(a, b) return a[2] > b[2] end)
local ids = {}
for i, candidate in ipairs(candidates) do
  if i > scanned and not names_ids then
    more = true
    break
  end
  ids[i] = candidate[1]
end
read_jobs(ids)

-- The bytes of what is large in the answer of `shown`.
local function bytes_of(row)
  local bytes = #row[2] + (row[4] and #row[4] or 0)
  for _, error in ipairs(row[5] or {}) do
    bytes = bytes + #error
  end
  return bytes
end

local last_seen, answer, looked_at, bytes = -1, {}, 0, 0
for i, id in ipairs(ids) do
  local job = jobs[id]
  last_seen, looked_at = candidates[i][2], i
  -- There may be none: somebody has taken its data from under us.
  if job and fits(job) then
    local row = rows ~= 'none' and shown(id, rows == 'short')
    if row or rows == 'none' then answer[#answer + 1] = { id, last_seen, job[STATE_EVENT], row } end
    if row then bytes = bytes + bytes_of(row) end
  end
  if #answer == limit or bytes >= MOST_BYTES then
    more = more or i < #ids
    break
  end
end
return { last_seen, more and 1 or 0, answer, looked_at, bytes }
