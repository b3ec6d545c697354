-- Runs: the leases of running jobs, their logs and their errors.

-- Adds to the history of failures, as of the present attempt. `error` is the rest of an object in JSON.
local function keep_error(id, job, error)
  local key = root .. 'e:' .. id
  call('RPUSH', key, '{"attempt":' .. job[ATTEMPT] .. ',"at":' .. digits(now) .. ',' .. error)
  if job[ERRORS] >= KEPT_ERRORS then
    call('LTRIM', key, -KEPT_ERRORS, -1)
  else
    job[ERRORS] = job[ERRORS] + 1
  end
end

local function give_attempt_back(job)
  job[ATTEMPT] = math.max(job[ATTEMPT] - 1, 0)
end

local function write_event(id, number, attempt, body)
  call('XADD', root .. 'l:' .. id, digits(number) .. '-0', 't', digits(now), 'n', attempt, 'b', body)
end

local function log(id, job, body)
  job[LAST_EVENT] = job[LAST_EVENT] + 1
  write_event(id, job[LAST_EVENT], job[ATTEMPT], body)
end

-- The job that runs under a lease, where the lease is the current one.
local function leased(id, token)
  local job = job_of(id)
  return job and job[STATE] == RUNNING and job[TOKEN] == token and job
end

local function lease_status(job)
  return job[CANCEL_BY] ~= 0 and CANCEL_REQUESTED or HELD
end

-- Adds what a run has to say. An entry is {'p', event, progress}, {'s', name, output} or {'e', event}.
local function add_entries(id, job, entries)
  for _, entry in ipairs(entries) do
    if entry[1] == 's' then
      -- The first output stays: a second run of the step was of an attempt that had not seen it.
      job[STEPS] = job[STEPS] + call('HSETNX', root .. 't:' .. id, entry[2], entry[3])
    else
      if entry[1] == 'p' then
        call('HSET', root .. 'x:' .. id, 'progress', entry[3])
        job[PROGRESS] = 1
      end
      log(id, job, entry[2])
      job[LOG] = 2
    end
  end
end
