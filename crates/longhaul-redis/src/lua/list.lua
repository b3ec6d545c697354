-- Lists jobs, newest first.
--
-- ARGV[2]    the seq before which they must have been enqueued, or '' for any
-- ARGV[3]    how many to look at
-- ARGV[4]    how many to answer at most
-- ARGV[5]    the packed filter: see `matching.lua`
-- ARGV[6]    the rows: 'whole', 'args' (without large outputs), 'short' (without large args, too) or 'none'
-- ARGV[7..]  ids, where only these are meant
-- Returns    the seq of the last one that was looked at or -1, 1 where there are more, for each job that fits its id, its
--            seq, the number of its state, and the answer of `shown` or false, then how many were looked at, and the bytes
--            of the rows

-- The bytes of rows after which a call answers: args are up to 256 KiB, and no answer may keep others waiting for long.
local MOST_BYTES = 4194304
-- The jobs whose data is read at once.
local ROWS_AT_ONCE = 16
-- Where the fields STATE_EVENT and WORKER begin in a record.
local STATE_EVENT_BYTE, WORKER_BYTE = 66, 86

local before = ARGV[2] == '' and math.huge or tonumber(ARGV[2])
local scanned, limit, rows = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
local fits, states, parents, looks_at_words = filter_of(ARGV[5])
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

-- Those of one set come in order.
if names_ids or parents or is_of_few() then table.sort(candidates, function(a, b) return a[2] > b[2] end) end
local ids = {}
for i, candidate in ipairs(candidates) do
  if i > scanned and not names_ids then
    more = true
    break
  end
  ids[i] = candidate[1]
end
local records = read_all('m:', ids)

-- What a filter looks at of a record: the same table for each, because a search reads many.
local looked_for = {}

-- True for a record that fits; an error for one that cannot be read.
local function fits_record(record)
  looked_for[STATE] = string.byte(record)
  if looks_at_words then
    local _, _, _, at = struct_unpack('>I2c0I4c0I2c0', record, WORKER_BYTE)
    _, _, _, _, _, _, looked_for[QUEUE], looked_for[KIND], _, looked_for[LIMIT_KEY], looked_for[PARENT] =
      struct_unpack(FIXED_FORMAT, record, at)
  end
  return fits(looked_for)
end

-- The bytes of what is large in the answer of `shown`.
local function bytes_of(row)
  local bytes = #row[2] + (row[4] and #row[4] or 0)
  for _, error in ipairs(row[5] or {}) do
    bytes = bytes + #error
  end
  return bytes
end

local answer, bytes, n = {}, 0, 0
-- The places of jobs that fit and are not yet among the answer.
local fitting, many = {}, 0

-- Reads what is to be shown of the jobs that fit. There may be none: somebody has taken its data from under us.
local function read_rows()
  local keys = {}
  for i = 1, many do
    keys[i] = root .. 'd:' .. ids[fitting[i]]
  end
  local data = (rows == 'whole' or rows == 'args') and many > 0 and call('MGET', unpack(keys))
  for i = 1, many do
    local place = fitting[i]
    local id, record, row = ids[place], records[place], false
    if data then
      row = shown(id, record, rows == 'args', data[i], 0)
    elseif rows == 'short' then
      row = shown(id, record, true, data_of(id, true))
    end
    if row or rows == 'none' then
      n = n + 1
      local state_event = struct_unpack('>I4', record, STATE_EVENT_BYTE)
      answer[n] = { id, candidates[place][2], state_event, row }
    end
    if row then bytes = bytes + bytes_of(row) end
  end
  many = 0
end

local last_seen, looked_at = -1, 0
for i = 1, #ids do
  last_seen, looked_at = candidates[i][2], i
  local record = records[i]
  if record then
    local is_ours, does_fit = pcall(fits_record, record)
    if is_ours and does_fit then
      many = many + 1
      fitting[many] = i
    end
  end
  if many == ROWS_AT_ONCE or n + many == limit then read_rows() end
  if n >= limit or bytes >= MOST_BYTES then
    more = more or i < #ids
    break
  end
end
read_rows()
return { last_seen, more and 1 or 0, answer, looked_at, bytes }
