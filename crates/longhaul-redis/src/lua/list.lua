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
-- The offsets of the fields STATE_EVENT and WORKER in a record.
local STATE_EVENT_BYTE, WORKER_BYTE = 66, 86

local scanned, limit, rows = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
local fits, states, parents, looks_at_words = filter_of(ARGV[5])
local named = #ARGV > 6 and {}
for i = 7, #ARGV do
  named[i - 6] = ARGV[i]
end
-- Of those that are named, all may be looked at.
local ids, seqs, more = find_candidates(ARGV[2], named and #named or scanned, states, parents, named)
local records = read_all('m:', ids)

-- The fields of a record that a filter checks: one table for all records, because a search reads many.
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
      answer[n] = { id, seqs[place], state_event, row }
    end
    if row then bytes = bytes + bytes_of(row) end
  end
  many = 0
end

local last_seen, looked_at = -1, 0
for i = 1, #ids do
  last_seen, looked_at = seqs[i], i
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
