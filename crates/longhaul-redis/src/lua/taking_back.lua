-- Takes claims back whose answers reached nobody: for the scripts that do so.

-- Takes a running job back, as if it had never been claimed. `stopped` is the error of one that was asked to stop meanwhile.
local function take_back(id, job, stopped)
  local is_to_stop = job[CANCEL_BY] ~= 0
  unindex(id, job)
  if is_to_stop then keep_error(id, job, stopped) end
  give_attempt_back(job)
  job[WORKER], job[STARTED_AT] = '', 0
  set_state(job, is_to_stop and CANCELLED or AVAILABLE)
  if is_to_stop then end_job(id, job) end
  index(id, job)
  count_ended()
end
