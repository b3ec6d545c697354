-- The entries of runs: steps, progress and the log, which is bounded.

-- The most events of a log, and the most bytes: the oldest events go.
local LOG_EVENTS = 10000
local LOG_BYTES = 16777216
local SPARE_EVENTS, SPARE_BYTES = 500, 1048576

local function log(id, job, body)
  job[LAST_EVENT] = job[LAST_EVENT] + 1
  write_event(id, job[LAST_EVENT], job[ATTEMPT], body)
end

-- Steps that this script writes: id -> name -> true.
local new_steps = {}

-- The first output stays: a second run of the step was of an attempt that had not seen it.
local function add_step(id, job, name, output, took)
  local key, names = root .. 't:' .. id, list_of(new_steps, id)
  if names[name] or (job[STEPS] > 0 and call('HEXISTS', key, name) == 1) then return end
  names[name] = true
  job[STEPS] = job[STEPS] + 1
  write('HSET', key, name, output)
  -- Kept where the previous release removes it together with the job.
  write('HSET', root .. 'x:' .. id, 'step|' .. name, format('%d|%d|%d|%d', job[STEPS], job[ATTEMPT], now, took))
end

-- Jobs whose logs this script has added to: id -> bytes.
local grown = {}

-- Adds the entries of a run: each {'p', event, progress}, {'s', name, output, how long it took} or {'e', event}.
local function add_entries(id, job, entries)
  local bytes = 0
  for _, entry in ipairs(entries) do
    if entry[1] == 's' then
      add_step(id, job, entry[2], entry[3], entry[4])
    else
      if entry[1] == 'p' then
        write('HSET', root .. 'x:' .. id, 'progress', entry[3])
        job[PROGRESS] = 1
      end
      log(id, job, entry[2])
      job[LOG] = 2
      bytes = bytes + #entry[2]
    end
  end
  if bytes > 0 then grown[id] = (grown[id] or 0) + bytes end
end

-- Keeps the logs that this script has added to within their bounds, when they are written: the oldest events go, some more
-- at once, so that this is not done with each event. The number of the last one that is gone is noted, so that readers can be
-- told.
local function bound_logs()
  for id, more in pairs(grown) do
    local key, beside = root .. 'l:' .. id, root .. 'x:' .. id
    local bytes = write_now('HINCRBY', beside, 'log', more) or 0
    local excess = jobs[id][LAST_EVENT] > LOG_EVENTS and (write_now('XLEN', key) or 0) - LOG_EVENTS or 0
    local excess_bytes = bytes - LOG_BYTES
    if excess > 0 then excess = excess + SPARE_EVENTS end
    if excess_bytes > 0 then excess_bytes = excess_bytes + SPARE_BYTES end
    while excess > 0 or excess_bytes > 0 do
      local oldest, many, gone = write_now('XRANGE', key, '-', '+', 'COUNT', 16) or {}, 0, nil
      for _, entry in ipairs(oldest) do
        if excess <= 0 and excess_bytes <= 0 then break end
        local size = #(entry[2][6] or '')
        many, excess, excess_bytes, bytes, gone = many + 1, excess - 1, excess_bytes - size, bytes - size, entry[1]
      end
      if many == 0 then break end
      write_now('XTRIM', key, 'MAXLEN', write_now('XLEN', key) - many)
      write_now('HSET', beside, 'log', digits(max(bytes, 0)), 'cut', string.match(gone, '^%d+'))
    end
  end
  grown = {}
end
