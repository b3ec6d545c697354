-- Lists jobs, newest first.
--
-- ARGV[2]    the seq before which they must have been enqueued, or '' for any
-- ARGV[3]    how many to look at
-- ARGV[4]    how many to answer at most
-- ARGV[5]    what they must be, packed: {{state}, {kind}, {queue}, {parent}}, an empty list for any
-- ARGV[6..]  ids, where only these are meant
-- Returns    the seq of the last one that was looked at or -1, 1 where there are more, and for each job that fits its
--            id, its seq and what `shown` says

local before = ARGV[2] == '' and math.huge or tonumber(ARGV[2])
local scanned, limit = tonumber(ARGV[3]), tonumber(ARGV[4])

local function set_of(words)
  if #words == 0 then return false end
  local set = {}
  for _, word in ipairs(words) do
    set[word] = true
  end
  return set
end

local wanted = cmsgpack.unpack(ARGV[5])
local states, kinds, queues, parents = set_of(wanted[1]), set_of(wanted[2]), set_of(wanted[3]), set_of(wanted[4])

local function fits(job)
  return (not states or states[job[STATE]])
    and (not kinds or kinds[job[KIND]])
    and (not queues or queues[job[QUEUE]])
    and (not parents or parents[job[PARENT]])
end

-- The ids to look at, newest first, and whether there are more.
local function candidates()
  if #ARGV < 6 then
    local newest = ARGV[2] == '' and '+inf' or '(' .. ARGV[2]
    local ids = call('ZREVRANGEBYSCORE', root .. 'all', newest, '-inf', 'LIMIT', 0, scanned + 1)
    local more = #ids > scanned
    if more then ids[#ids] = nil end
    read_jobs(ids)
    return ids, more
  end
  local named, ids, seen = {}, {}, {}
  for i = 6, #ARGV do
    named[#named + 1] = ARGV[i]
  end
  read_jobs(named)
  for _, id in ipairs(named) do
    if jobs[id] and jobs[id][SEQ] < before and not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  table.sort(ids, function(a, b) return jobs[a][SEQ] > jobs[b][SEQ] end)
  return ids, false
end

local ids, more = candidates()
local last_seen, answer = -1, {}
for i, id in ipairs(ids) do
  local job = jobs[id]
  if job then
    if fits(job) then
      local row = shown(id)
      if row then
        answer[#answer + 1] = { id, job[SEQ], row }
      end
    end
    last_seen = job[SEQ]
    if #answer == limit then
      more = more or i < #ids
      break
    end
  else
    -- Somebody has taken its data from under us.
    last_seen = tonumber(call('ZSCORE', root .. 'all', id)) or last_seen
  end
end
return { last_seen, more and 1 or 0, answer }
