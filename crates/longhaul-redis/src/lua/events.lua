-- Reads a job's log, and its present state.
--
-- ARGV[2]  the id
-- ARGV[3]  the number after which to begin
-- ARGV[4]  how many entries at most
-- ARGV[5]  '1' where the reader waits for news if there is none
-- Returns  the fields, a long output, the last error, the number of the last event that has left the log or false, and the
--          entries of the log; false where there is no such job

local id = ARGV[2]
local job = job_of(id)
if not job then return false end
if tonumber(ARGV[3]) >= job[LAST_EVENT] then
  if ARGV[5] == '1' and job[STATE] < COMPLETED then call('SADD', root .. 'watched', 'j' .. id) end
  return { packed[id], false, false, false, {} }
end
local output = job[OUTPUT_AT] == 2 and call('HGET', root .. 'x:' .. id, 'output')
local error = job[ERRORS] > 0 and call('LINDEX', root .. 'e:' .. id, -1)
local entries = job[LOG] > 0 and call('XRANGE', root .. 'l:' .. id, '(' .. ARGV[3], '+', 'COUNT', ARGV[4]) or {}
local cut = job[LOG] > 0 and call('HGET', root .. 'x:' .. id, 'cut')
return { packed[id], output, error, cut, entries }
