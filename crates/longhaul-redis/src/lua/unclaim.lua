-- Takes claims back whose caller went away before they were answered: as if they had never been.
--
-- ARGV[2]    the rest of the error of a job that was asked to stop meanwhile, in JSON
-- ARGV[3..]  ids and tokens
-- Returns    how many there were

local undone = 0
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local job = leased(id, tonumber(ARGV[i + 1]))
  if job then
    local is_to_stop = job[CANCEL_BY] ~= 0
    unindex(id, job)
    if is_to_stop then keep_error(id, job, ARGV[2]) end
    give_attempt_back(job)
    job[WORKER], job[STARTED_AT] = '', 0
    set_state(job, is_to_stop and CANCELLED or AVAILABLE)
    if is_to_stop then end_job(id, job) end
    index(id, job)
    count_ended()
    undone = undone + 1
  end
end
done()
return undone
