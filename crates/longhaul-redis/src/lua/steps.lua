-- Reads the steps of a job that are done.
--
-- ARGV[2]  the id
-- Returns  the number of its state; names and outputs in turn; 'step|NAME' and times in turn, as `add_step` writes them; false
--          where there is no such job

local id = ARGV[2]
local job = job_of(id)
if not job then return false end
local fields, times = {}, {}
for _, field in ipairs(call('HKEYS', root .. 'x:' .. id)) do
  if sub(field, 1, 5) == 'step|' then fields[#fields + 1] = field end
end
for from = 1, #fields, ARGUMENTS do
  local to = min(from + ARGUMENTS - 1, #fields)
  for i, value in ipairs(call('HMGET', root .. 'x:' .. id, unpack(fields, from, to))) do
    local n = #times
    times[n + 1], times[n + 2] = fields[from + i - 1], value
  end
end
return { job[STATE], job[STEPS] > 0 and call('HGETALL', root .. 't:' .. id) or {}, times }
