-- Has what waits counted where it is bounded, a part of it at a time. From when a bound is set, each job is counted that comes to
-- wait, and no more when it waits no more; those that waited before are looked at here: the scheduled jobs, then the lanes, and the
-- scheduled jobs again. So one that falls due between two parts is found in its lane, and one whose start is put off before its lane
-- was looked at is found among the scheduled.
--
-- ARGV[2], ARGV[3]  the part to be looked at, and how far: '' and '0' at the beginning
-- ARGV[4]           how many about
-- Returns           the same for the next call; '' and '0' at the end

if not keyed.is_bounded then return { '', '0' } end

local FIRST, LAST = 'scheduled', 'scheduled again'

-- The part behind this one: a lane, or the last.
local function next_part(part)
  if part == LAST then return '' end
  local after
  local function offer(other)
    if (part == FIRST or other > part) and (not after or other < after) then after = other end
  end
  for _, place in ipairs(call('HKEYS', root .. 'counts')) do
    local queue, state = string.match(place, '^(.*)|(%d)$')
    for _, name in ipairs(tonumber(state) == AVAILABLE and call('SMEMBERS', root .. 'lanes|' .. queue) or {}) do
      if string.match(name, '|%d+$') then offer('lane|' .. queue .. '|' .. name) end
    end
  end
  return after or LAST
end

local part, at = ARGV[2], ARGV[3]
if part == '' then part = FIRST end
local page = call('ZSCAN', root .. (part == LAST and FIRST or part), at, 'COUNT', ARGV[4])
local ids = {}
for i = 1, #page[2], 2 do
  ids[#ids + 1] = id_of(page[2][i])
end
read_jobs(ids)
for _, id in ipairs(ids) do
  local job = jobs[id]
  if job and (job[STATE] == AVAILABLE or job[STATE] == SCHEDULED) then
    keyed.bounds().note(job[QUEUE], job[LIMIT_KEY], member_of(id, job), 1)
  end
end
done()
if page[1] ~= '0' then return { part, page[1] } end
return { next_part(part), '0' }
