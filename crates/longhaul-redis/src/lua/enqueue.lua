-- Creates jobs: of each caller's all or none.
--
-- ARGV[2..]  for each caller: how many jobs; then for each of these its id, its packed fields (RUN_AT holds a delay,
--            STATE_AT a time of day before which it must not run), its data, and its packed keys or ''
-- Returns    for each job 0 where it was created, 1 where its idempotency key was used for another request, 2 where
--            another job of its call was refused, or the id of the job that stands for it

local ids, at = {}, 2
while at <= #ARGV do
  local many = tonumber(ARGV[at])
  for i = 0, many - 1 do
    ids[#ids + 1] = ARGV[at + 1 + 4 * i]
  end
  at = at + 1 + 4 * many
end
read_jobs(ids)

local answers = {}

-- The answers where a job of the call is refused. Looked at before anything is written.
local function refused(from, many)
  local first, reused, any = {}, {}, false
  for i = 0, many - 1 do
    local keys = ARGV[from + 4 * i + 3]
    reused[i] = keys ~= '' and is_reused(cmsgpack.unpack(keys), first)
    any = any or reused[i]
  end
  if not any then return false end
  for i = 0, many - 1 do
    answers[#answers + 1] = reused[i] and 1 or 2
  end
  return true
end

at = 2
while at <= #ARGV do
  local many, from = tonumber(ARGV[at]), at + 1
  if not refused(from, many) then
    for i = from, from + 4 * many - 1, 4 do
      local keys = ARGV[i + 3] ~= '' and cmsgpack.unpack(ARGV[i + 3])
      answers[#answers + 1] = create(ARGV[i], cmsgpack.unpack(ARGV[i + 1]), ARGV[i + 2], keys) or 0
    end
  end
  at = from + 4 * many
end
done()
return answers
