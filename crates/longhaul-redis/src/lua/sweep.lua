-- Maintenance of waiting and running jobs, and of what is remembered beside them. It costs what is due, and the same few
-- reads where nothing is.
--
-- ARGV[2]           the most of each sort
-- ARGV[3]           the rest of the error of a crash, in JSON
-- ARGV[4], ARGV[5]  the same for poison, before and after the number of crashes
-- ARGV[6]           the rest of the error of a job that did not stop in time
-- ARGV[7]           for how long a silent worker is listed
-- ARGV[8]           '1' where the caller wants to be told of changes
-- Returns           how many were promoted, rescued, poisoned, fenced off and expired, 1 where there may be more to do, 1 where history
--                   may be removed: see `due`, and the changes of state or false

if ARGV[8] == '1' then note_changes() end
local limit = tonumber(ARGV[2])
local ended_by_time, timed = end_waiting(limit)
local promoted, due = promote(limit)
local woken, waits = promote(limit - due, root .. 'waking', BLOCKED)

-- Takes a job from a worker that was not heard of in time, and answers its new state.
local function rescue(id, job)
  unindex(id, job)
  job[CRASHES] = min(job[CRASHES] + 1, MOST)
  local is_poison = job[CRASHES] > job[MAX_CRASHES]
  local is_to_stop = job[CANCEL_BY] ~= 0
  keep_error(id, job, is_poison and ARGV[4] .. job[CRASHES] .. ARGV[5] or ARGV[3])
  give_attempt_back(job)
  -- It keeps its `run_at`, and with it its place: what was begun goes before what was not.
  set_state(job, is_to_stop and CANCELLED or is_poison and FAILED or AVAILABLE)
  if job[STATE] >= COMPLETED then end_job(id, job) end
  index(id, job)
  return job[STATE]
end

local rescued = { [AVAILABLE] = 0, [FAILED] = 0, [CANCELLED] = 0 }
local expired = call('ZRANGEBYSCORE', running_key, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(jobs_at(running_key, expired, RUNNING, RUNNING)) do
  local state = rescue(id, jobs[id])
  rescued[state] = rescued[state] + 1
end
flush()

local asked_to_stop, overdue_jobs = stop_overdue(limit)

-- A job that is lost is counted where it runs.
local overdue = call('ZRANGEBYSCORE', stopping_key, '-inf', now, 'LIMIT', 0, limit)
local fenced = jobs_at(stopping_key, overdue, RUNNING, nil)
for _, id in ipairs(fenced) do
  local job = jobs[id]
  unindex(id, job)
  keep_error(id, job, ARGV[6])
  set_state(job, CANCELLED)
  end_job(id, job)
  index(id, job)
end
count_ended()
flush()
-- Has parents that have begun count children which a process of the release before has ended or removed, a part of them at a time. That one
-- counts them only while the parent is blocked: then fewer are unfinished than stand here, and as many are passed over, whichever these are.
-- The outcome of a child that is gone is not known.
if call('EXISTS', root .. 'uncounted') == 1 then
  local page, ids, standing = call('ZSCAN', root .. 'uncounted', call('GET', root .. 'uncounted_at') or '0', 'COUNT', limit), {}, {}
  for i = 1, #page[2], 2 do
    ids[#ids + 1] = id_of(page[2][i])
  end
  read_jobs(ids)
  for i, id in ipairs(ids) do
    local member, batch, child = page[2][2 * i - 1], page[2][2 * i], jobs[id]
    local is_there = damaged[id] or child and child[SEQ] == seq_of(member)
    if not is_there or child and child[STATE] >= COMPLETED then
      local parent_id = queue_of(member)
      local parent = job_of(parent_id)
      standing[batch] = standing[batch] or call('ZCOUNT', root .. 'uncounted', batch, batch)
      if parent and parent[SEQ] == tonumber(batch) and standing[batch] <= count_children(parent, 1, 0) then
        count_end(parent_id, parent, is_there and child[STATE] or CANCELLED)
      end
      standing[batch] = standing[batch] - 1
      remove_member(root .. 'uncounted', member)
    end
  end
  write('SET', root .. 'uncounted_at', page[1])
  flush()
end
if call('EXISTS', root .. 'awaited') == 1 then
  keyed.dependants().find_ended(limit)
  flush()
end
if call('EXISTS', root .. 'settling') == 1 then keyed.dependants().work_off(count_ended) end

-- Forgets a key whose time is over. One that was taken again has a later time.
local function forget(memory)
  local kind, key = sub(memory, 1, 1), sub(memory, 2)
  if kind == 'u' then
    local expires_at = hold_of(key)
    if expires_at and expires_at ~= 0 and expires_at <= now then write('HDEL', root .. 'unique', key) end
  else
    local promise = call('HGET', root .. 'promises', key)
    local is_ours, unpacked = pcall(cmsgpack.unpack, promise or '')
    local expires_at = promise and is_ours and type(unpacked) == 'table' and tonumber(unpacked[1]) or 0
    if expires_at <= now then write('HDEL', root .. 'promises', key) end
  end
end

-- Gives back what runs hold that have ended under an older release or whose record was lost, a part of them at a time.
if keyed.is_holding then
  local page = call('HSCAN', root .. 'holding', call('GET', root .. 'holding_at') or '0', 'COUNT', limit)
  note_held_on(page[2])
  write('SET', root .. 'holding_at', page[1])
end
-- Forgets rates that are free again.
if call('EXISTS', root .. 'limits') == 1 then
  local page = call('HSCAN', root .. 'limits', call('GET', root .. 'limits_at') or '0', 'COUNT', limit)
  for i = 1, #page[2], 2 do
    local free_at = tonumber(string.match(page[2][i + 1], '^0|(%d+)'))
    if free_at and free_at <= now * 1000 then groups().forget(page[2][i]) end
  end
  write('SET', root .. 'limits_at', page[1])
end
-- Forgets what does not wait and is counted so, a part of it at a time: a process of an older release has taken it.
if call('EXISTS', root .. 'waiting') == 1 then
  local page = call('ZSCAN', root .. 'waiting', call('GET', root .. 'waiting_at') or '0', 'COUNT', limit)
  local ids, gone = {}, {}
  for i = 1, #page[2], 2 do
    ids[#ids + 1] = string.match(page[2][i], '^%S+ %d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d([^|]*)')
  end
  read_jobs(ids)
  for i, id in ipairs(ids) do
    local job = jobs[id]
    if not (job and (job[STATE] == AVAILABLE or job[STATE] == SCHEDULED)) then gone[#gone + 1] = page[2][2 * i - 1] end
  end
  for _, text in ipairs(gone) do
    remove_member(root .. 'waiting', text)
  end
  write('SET', root .. 'waiting_at', page[1])
end
for _, queue in ipairs(keyed.is_fair and call('SMEMBERS', root .. 'fair') or {}) do
  groups().forget_turns(queue, limit)
end
if call('EXISTS', root .. 'opens') == 1 then groups().due() end
write('ZREMRANGEBYSCORE', root .. 'paused', '-inf', now)
local forgotten = call('ZRANGEBYSCORE', root .. 'forget', '-inf', now, 'LIMIT', 0, limit)
for _, memory in ipairs(forgotten) do
  forget(memory)
  remove_member(root .. 'forget', memory)
end
local gone = call('ZRANGEBYSCORE', root .. 'gone', '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(gone) do
  remove_member(root .. 'gone', id)
end
local stale = call('ZRANGEBYSCORE', root .. 'samples_end', '-inf', now, 'LIMIT', 0, limit)
for _, sample in ipairs(stale) do
  write('HDEL', root .. 'sample', sample)
  remove_member(root .. 'samples', sample)
  remove_member(root .. 'samples_end', sample)
end
local silent = call('ZRANGEBYSCORE', root .. 'workers', '-inf', now - tonumber(ARGV[7]), 'LIMIT', 0, limit)
for _, worker in ipairs(silent) do
  remove_member(root .. 'workers', worker)
  write('HDEL', root .. 'worker', worker)
end
done()
-- A survey of all queues is due where there was none for long, or none at all.
local next_prune = call('ZRANGE', root .. 'prune', 0, 0, 'WITHSCORES')
local prunes = not next_prune[2] or tonumber(next_prune[2]) <= now or not call('ZSCORE', root .. 'prune', '*')
local most = max(timed, overdue_jobs, due + waits, #expired, #overdue, #forgotten, #gone, #stale, #silent)
return {
  promoted + woken,
  rescued[AVAILABLE],
  rescued[FAILED],
  rescued[CANCELLED] + #fenced,
  ended_by_time + asked_to_stop,
  (most >= limit or call('ZCOUNT', root .. 'opens', '-inf', now) > 0 or call('EXISTS', root .. 'settling') == 1) and 1 or 0,
  prunes and 1 or 0,
  told,
}
