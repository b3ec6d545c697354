-- How jobs are shown: shared by all scripts that read them.

local function progress_and_output(id, job)
  if job[PROGRESS] == 0 and job[OUTPUT_AT] ~= 2 then return false, false end
  local beside = call('HMGET', root .. 'x:' .. id, 'progress', 'output')
  return beside[1], beside[2]
end

-- All that a record is made of, but for its place: fields, data, progress, a long output, errors. False where there is
-- no such job.
local function shown(id)
  local job = job_of(id)
  local data = job and call('GET', root .. 'd:' .. id)
  if not data then return false end
  local progress, output = progress_and_output(id, job)
  local errors = job[ERRORS] > 0 and call('LRANGE', root .. 'e:' .. id, 0, -1) or false
  return { packed[id], data, progress, output, errors }
end
