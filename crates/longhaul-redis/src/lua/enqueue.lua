-- Creates jobs: of each caller's all or none.
--
-- ARGV[2..]  for each caller: how many jobs, negative where the caller wants to be told of changes, and then these: see `new.lua`
-- Returns    for each job the answer of `created_in` where it was created, 1 where its idempotency key was used for another request, 2 where
--            another job of its call was refused, the id of the job that stands for it, or a list of 'dropped' or 'cancelled' and the answer of
--            `created_in`, 'replaced' or 'rejected' and the id of the holder of its unique key, 'full' and 'qQUEUE' or 'kKEY', or where
--            a job of the call depends on one that is not there 'unknown', or on an unfinished ancestor 'ancestor', and which job and which of
--            its dependencies. The last one of a caller that wants to be told is a list of 'told', the answer, and the changes

local NEW_JOB = 5
local answers = {}

-- Calls `action` with where the jobs of each caller begin and how many there are.
local function for_each_caller(action)
  local at = 2
  while at <= #ARGV do
    local many = math.abs(tonumber(ARGV[at]))
    action(at + 1, many, tonumber(ARGV[at]) < 0)
    at = at + 1 + NEW_JOB * many
  end
end

-- Reads, in one go, the jobs whose ids may exist, and notes that the others do not.
local ids = {}
for_each_caller(function(from, many)
  for i = from, from + NEW_JOB * (many - 1), NEW_JOB do
    if string.byte(ARGV[i + 2], START_BYTES) % 2 == MAY_EXIST then
      ids[#ids + 1] = ARGV[i]
    else
      jobs[ARGV[i]] = false
    end
  end
end)
read_jobs(ids)

-- The answers where a job of the call is refused. Looked at before anything is written.
local function refused(from, many)
  local first, reused, any = {}, {}, false
  for i = 1, many do
    reused[i] = is_reused(keys_of(ARGV[from + NEW_JOB * (i - 1) + 2]), first)
    any = any or reused[i]
  end
  if not any then return false end
  for i = 1, many do
    answers[#answers + 1] = reused[i] and 1 or 2
  end
  return true
end

-- The same where a job of the call depends on one that is not there, or on an unfinished ancestor.
local function has_bad_dependency(from, many)
  local any = false
  for i = from, from + NEW_JOB * (many - 1), NEW_JOB do
    any = any or bit.band(flags_of(ARGV[i + 2]), HAS_DEPENDENCIES) ~= 0
  end
  if not any then return false end
  local why, job, place = depending().refused_in(many, function(n)
    local i = from + NEW_JOB * (n - 1)
    return ARGV[i], ARGV[i + 2], ARGV[i + 4]
  end)
  for _ = 1, why and many or 0 do
    answers[#answers + 1] = { why, job, place }
  end
  return why
end

for_each_caller(function(from, many, tells)
  if refused(from, many) or has_bad_dependency(from, many) then return end
  if tells then note_changes() end
  local others, states, stand_ins = {}, {}, {}
  for n = 1, many do
    local i = from + NEW_JOB * (n - 1)
    others[n], states[n] = create(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], false, stand_ins)
  end
  place_waiting()
  count_ended()
  for n = 1, many do
    -- One that was to wait for children is available where it has none.
    local state = states[n] == BLOCKED and jobs[ARGV[from + NEW_JOB * (n - 1)]][STATE] or states[n]
    -- One that a dependency has cancelled was created all the same.
    local ended = states[n] == CANCELLED and 'dropped' or state == CANCELLED and 'cancelled'
    answers[#answers + 1] = others[n] or ended and { ended, created_in(AVAILABLE) } or created_in(state)
  end
  if told then answers[#answers] = { 'told', answers[#answers], told } end
  told = false
end)
done()
return answers
