-- Gives a job a signal, which is kept among its steps. The first of a name stays, and lets a job go on that waits for it.
--
-- ARGV[2], ARGV[3], ARGV[4]  the id, the name of the signal, and the output of the step
-- ARGV[5]                    '1' where the caller wants to be told of changes
-- Returns                    0 where it is kept, 1 where an earlier one of the name stands, 2 where the job has ended, 3 where there is
--                            none, and the changes of state or false

if ARGV[5] == '1' then note_changes() end
local id, name = ARGV[2], ARGV[3]
local job, step = job_of(id), 'signal:' .. name
if not job then return { 3, false } end
if job[STATE] >= COMPLETED then return { 2, false } end
if job[STEPS] > 0 and call('HEXISTS', root .. 't:' .. id, step) == 1 then return { 1, false } end
add_step(id, job, step, ARGV[4], 0)
changed[id] = true
if keyed.tails().waits_for(job, ON_SIGNAL) and job[SIGNAL] == name then
  unindex(id, job)
  wait_until(job, now)
  index(id, job)
end
done()
return { 0, told }
