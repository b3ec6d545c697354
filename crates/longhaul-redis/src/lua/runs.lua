-- Runs: the leases of running jobs, and their errors.

-- Adds to the history of failures, as of the present attempt. `error` is the rest of an object in JSON.
local function keep_error(id, job, error)
  local key = root .. 'e:' .. id
  if told then failures[id] = error end
  write('RPUSH', key, '{"attempt":' .. job[ATTEMPT] .. ',"at":' .. digits(now) .. ',' .. error)
  if job[ERRORS] >= KEPT_ERRORS then
    write('LTRIM', key, -KEPT_ERRORS, -1)
  else
    job[ERRORS] = job[ERRORS] + 1
  end
end

local function give_attempt_back(job)
  job[ATTEMPT] = max(job[ATTEMPT] - 1, 0)
end

local function write_event(id, number, attempt, body)
  local n = #events
  events[n + 1], events[n + 2], events[n + 3], events[n + 4] = root .. 'l:' .. id, digits(number) .. '-0', attempt, body
end

-- The job that runs under a lease, where the lease is the current one.
local function leased(id, token)
  local job = job_of(id)
  return job and job[STATE] == RUNNING and job[TOKEN] == token and job
end

-- True for the token that ended a job: a finish that is repeated after a lost answer is accepted without effect.
local function has_ended_by(job, token)
  return job and job[STATE] >= COMPLETED and job[TOKEN] == token and token ~= 0
end

local function lease_status(job)
  return job[CANCEL_BY] ~= 0 and CANCEL_REQUESTED or HELD
end
