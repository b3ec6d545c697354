-- Has what waits counted where it is bounded, a part of it at a time. From when a bound is set, each job is counted that comes to
-- wait, and no more when it waits no more; those that waited before are looked at here.
--
-- ARGV[2], ARGV[3]  the set of jobs to be looked at, and how far: '' and '0' at the beginning
-- ARGV[4]           how many about
-- Returns           the same for the next call; '' and '0' at the end

if not keyed.is_bounded then return { '', '0' } end

-- The set behind this one, of the scheduled jobs and the lanes.
local function next_set(set)
  local after
  local function offer(other)
    if other > set and (not after or other < after) then after = other end
  end
  for _, place in ipairs(call('HKEYS', root .. 'counts')) do
    local queue, state = string.match(place, '^(.*)|(%d)$')
    for _, name in ipairs(tonumber(state) == AVAILABLE and call('SMEMBERS', root .. 'lanes|' .. queue) or {}) do
      if string.match(name, '|%d+$') then offer('lane|' .. queue .. '|' .. name) end
    end
  end
  offer('scheduled')
  return after or ''
end

local set, at = ARGV[2], ARGV[3]
if set == '' then set = next_set('') end
local page = call('ZSCAN', root .. set, at, 'COUNT', ARGV[4])
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
if page[1] ~= '0' then return { set, page[1] } end
return { next_set(set), '0' }
