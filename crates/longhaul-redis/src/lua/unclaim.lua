-- Takes claims back whose caller went away before they were answered: as if they had never been.
--
-- ARGV[2..]  ids and tokens
-- Returns    how many there were

local undone = 0
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local job = leased(id, tonumber(ARGV[i + 1]))
  if job then
    unindex(id, job)
    give_attempt_back(job)
    job[WORKER], job[STARTED_AT] = '', 0
    set_state(job, job[CANCEL_BY] ~= 0 and CANCELLED or AVAILABLE)
    if job[STATE] == CANCELLED then end_job(id, job) end
    index(id, job)
    count_ended()
    undone = undone + 1
  end
end
done()
return undone
