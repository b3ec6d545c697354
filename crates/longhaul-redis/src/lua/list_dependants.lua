-- The jobs that were enqueued to depend on a job, in the order in which they were.
--
-- ARGV[2], ARGV[3]  the id, and how many at most
-- Returns           their ids

local job = job_of(ARGV[2])
if not job or job[AWAITED] ~= 1 then return {} end
local entries, ids = call('ZRANGE', root .. 'dependants|' .. digits(job[SEQ]), 0, ARGV[3] - 1), {}
for i, entry in ipairs(entries) do
  ids[i] = sub(entry, 17)
end
read_jobs(ids)
local answer = {}
for i, entry in ipairs(entries) do
  -- A process of an older release leaves those here that it removes.
  local dependant = jobs[ids[i]]
  if dependant and dependant[SEQ] == seq_of(entry) then answer[#answer + 1] = ids[i] end
end
return answer
