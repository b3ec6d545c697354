-- Creates jobs: of each caller's all or none.
--
-- ARGV[2..]  for each caller: how many jobs, and then these: see `new.lua`
-- Returns    for each job the answer of `created_in` where it was created, 1 where its idempotency key was used for another request, 2 where
--            another job of its call was refused, or the id of the job that stands for it

local NEW_JOB = 5
local answers = {}

-- Calls `action` with where the jobs of each caller begin and how many there are.
local function for_each_caller(action)
  local at = 2
  while at <= #ARGV do
    local many = tonumber(ARGV[at])
    action(at + 1, many)
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

for_each_caller(function(from, many)
  if refused(from, many) then return end
  local others, states = {}, {}
  for n = 1, many do
    local i = from + NEW_JOB * (n - 1)
    others[n], states[n] = create(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  end
  place_waiting()
  for n = 1, many do
    -- One that was to wait for children is available where it has none.
    local state = states[n] == BLOCKED and jobs[ARGV[from + NEW_JOB * (n - 1)]][STATE] or states[n]
    answers[#answers + 1] = others[n] or created_in(state)
  end
end)
done()
return answers
