-- Upkeep of waiting and running jobs, and of what is remembered beside them.
--
-- ARGV[2]           how many of each sort at most
-- ARGV[3]           the rest of the error of a crash, in JSON
-- ARGV[4], ARGV[5]  the same for poison, before and after the number of crashes
-- ARGV[6]           the rest of the error of a job that did not stop in time
-- ARGV[7]           for how long a silent worker is listed
-- Returns           how many were promoted, rescued, poisoned and fenced off, and 1 where there may be more to do

local limit = tonumber(ARGV[2])
local promoted = promote(limit)

-- Takes a job from a worker that was not heard of in time, and says what became of it.
local function rescue(id, job)
  leave(id, job)
  job[CRASHES] = job[CRASHES] + 1
  local is_poison = job[CRASHES] > job[MAX_CRASHES]
  local is_to_stop = job[CANCEL_BY] ~= 0
  keep_error(id, job, is_poison and ARGV[4] .. job[CRASHES] .. ARGV[5] or ARGV[3])
  give_attempt_back(job)
  -- It keeps its `run_at`, and with it its place: what was begun goes before what was not.
  enter(job, is_to_stop and CANCELLED or is_poison and FAILED or AVAILABLE)
  if job[STATE] >= COMPLETED then ends(id, job) end
  settle(id, job)
  return job[STATE]
end

local rescued = { [AVAILABLE] = 0, [FAILED] = 0, [CANCELLED] = 0 }
local expired = call('ZRANGEBYSCORE', running_key, '-inf', now, 'LIMIT', 0, limit)
expired = jobs_at(running_key, expired, RUNNING, RUNNING)
for _, id in ipairs(expired) do
  local state = rescue(id, jobs[id])
  rescued[state] = rescued[state] + 1
end
flush()

-- A job that is lost is counted where it runs.
local overdue = call('ZRANGEBYSCORE', stopping_key, '-inf', now, 'LIMIT', 0, limit)
overdue = jobs_at(stopping_key, overdue, RUNNING, nil)
for _, id in ipairs(overdue) do
  local job = jobs[id]
  leave(id, job)
  keep_error(id, job, ARGV[6])
  enter(job, CANCELLED)
  ends(id, job)
  settle(id, job)
end
count_ended()

-- Only what expires now goes: a key that was taken again has a later time.
local function forget(memory)
  local kind, key = string.sub(memory, 1, 1), string.sub(memory, 2)
  if kind == 'u' then
    local held = call('HGET', root .. 'unique', key)
    local expires_at = held and tonumber(string.sub(held, 1, string.find(held, '|', 1, true) - 1)) or 0
    if expires_at ~= 0 and expires_at <= now then call('HDEL', root .. 'unique', key) end
  else
    local promise = call('HGET', root .. 'promises', key)
    if promise and cmsgpack.unpack(promise)[1] <= now then call('HDEL', root .. 'promises', key) end
  end
end

call('ZREMRANGEBYSCORE', root .. 'paused', '-inf', now)
local forgotten = call('ZRANGEBYSCORE', root .. 'forget', '-inf', now, 'LIMIT', 0, limit)
for _, memory in ipairs(forgotten) do
  forget(memory)
  take_out(root .. 'forget', memory)
end
local gone = call('ZRANGEBYSCORE', root .. 'gone', '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(gone) do
  take_out(root .. 'gone', id)
end
local silent = call('ZRANGEBYSCORE', root .. 'workers', '-inf', now - tonumber(ARGV[7]), 'LIMIT', 0, limit)
for _, worker in ipairs(silent) do
  take_out(root .. 'workers', worker)
  call('HDEL', root .. 'worker', worker)
end
done()
local most = math.max(promoted, #expired, #overdue, #forgotten, #gone, #silent)
return {
  promoted,
  rescued[AVAILABLE],
  rescued[FAILED],
  rescued[CANCELLED] + #overdue,
  most >= limit and 1 or 0,
}
