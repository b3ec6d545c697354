-- Takes the jobs of a worker back that it was given by claims whose answers were lost with a connection.
--
-- ARGV[2]    the rest of the error of a job that was asked to stop meanwhile, in JSON
-- ARGV[3]    the worker
-- ARGV[4]    the highest token that the process had seen when it sent the first of these claims
-- ARGV[5..]  tokens that the worker was given since
-- Returns    how many there were, and the changes of state

note_changes()
local floor, known, undone = tonumber(ARGV[4]), {}, 0
for i = 5, #ARGV do
  known[tonumber(ARGV[i])] = true
end
-- There are never more of these than all workers have slots, and a connection is seldom lost.
local ids = {}
for _, member in ipairs(call('ZRANGEBYSCORE', running_key, '-inf', '(+inf')) do
  ids[#ids + 1] = id_of(member)
end
read_jobs(ids)
for _, id in ipairs(ids) do
  local job = jobs[id]
  if job and job[STATE] == RUNNING and job[WORKER] == ARGV[3] and job[TOKEN] > floor and not known[job[TOKEN]] then
    take_back(id, job, ARGV[2])
    undone = undone + 1
  end
end
done()
return { undone, told }
