-- Answers a claim of plain jobs: those of one lane, where no other lane of the one queue has any for the worker, and nothing concerns them
-- but that: no limit keys, bounds, pauses, ends by time, nor waits. It stands before the functions of the script, and writes what `claim`
-- writes, because making these takes the server longer than such a claim. All else is left to these, and nothing is written then.
--
-- ARGV[2]  the packed claim: see `claim`

-- The most jobs, beyond which a claim may have more to look at.
local PLAIN_AT_ONCE = 499

-- The name of the only lane of a queue with jobs for a worker, as 'kind|version'.
local function only_lane(queue, kinds)
  local only
  for _, name in ipairs(call('SMEMBERS', root .. 'lanes|' .. queue)) do
    local kind, version = string.match(name, '^(.*)|(%d+)$')
    if not kind then return nil end
    for _, known in ipairs(kinds) do
      if known[1] == kind and tonumber(version) <= known[2] then
        if only and only ~= name then return nil end
        only = name
      end
    end
  end
  return only
end

local function claim_plain(worker, lease_for, queue, slots, kinds)
  local others = call('EXISTS', root .. 'holding', root .. 'fair', root .. 'bounds', root .. 'limited', root .. 'timed', root .. 'opens',
    root .. 'paused_queues')
  if others > 0 then return nil end
  local name = only_lane(queue, kinds)
  local lane = name and root .. 'lane|' .. queue .. '|' .. name
  local found = lane and call('ZRANGEBYSCORE', lane, '-inf', PLAIN, 'LIMIT', 0, min(slots, PLAIN_AT_ONCE)) or {}
  local many = #found
  if many == 0 then return nil end
  local ids, keys, topics_of = {}, {}, {}
  for i = 1, many do
    local id = sub(found[i], 17, find(found[i], '|', 17, true) - 1)
    ids[i], keys[i], keys[many + i], topics_of[i] = id, root .. 'm:' .. id, root .. 'd:' .. id, 'j' .. id
  end
  local read, try, read_fields, write_fields, rest_of = call('MGET', unpack(keys)), pcall, struct_unpack, struct_pack, sub
  local drawn, until_text = max(tonumber(call('GET', root .. 'last') or 0) or 0, now * 1024 - 1), format('%d', now + lease_for)
  -- The offsets of the lengths of a unique key and of limit keys, after a queue and a kind.
  local keys_at = 40 + #queue + find(name, '|%d+$') - 1
  local values, running, answer = {}, {}, { now, -1, 0, false }
  for i = 1, many do
    local fields, data = read[i], read[many + i]
    if not fields or not data then return nil end
    local is_ours, state, run_at, attempt, crashes, interruptions, _, _, finished_at, _, _, last_event, _, _, log, steps, errors,
      progress, output_at, _, output, children, at = try(read_fields, CHANGING, fields)
    if not is_ours or state ~= AVAILABLE or log == 2 or steps ~= 0 or rest_of(fields, at + keys_at, at + keys_at + 3) ~= '\0\0\0\0'
      or read_fields('>i8', fields, at) ~= tonumber(rest_of(found[i], 1, 16)) then
      return nil
    end
    fields = write_fields(CHANGING_AND_REST, RUNNING, run_at, attempt + 1, crashes, interruptions, drawn + i, now, finished_at,
      now + lease_for, 0, last_event + 1, last_event + 1, now, log, steps, errors, progress, output_at, #worker, worker, #output,
      output, #children, children, rest_of(fields, at))
    local v, a = 2 * i, 4 * i
    values[v - 1], values[v] = keys[i], fields
    running[v - 1], running[v] = until_text, found[i]
    answer[a + 1], answer[a + 2], answer[a + 3], answer[a + 4] = ids[i], fields, data, false
  end
  -- `claim` notifies the readers that wait for any of these jobs.
  if call('EXISTS', root .. 'watched') == 1 then
    for _, is_heard in ipairs(call('SMISMEMBER', root .. 'watched', unpack(topics_of))) do
      if is_heard == 1 then return nil end
    end
  end
  write_all('MSET', nil, values)
  write_now('ZREMRANGEBYRANK', lane, 0, many - 1)
  if call('EXISTS', lane) == 0 then write_now('SREM', root .. 'lanes|' .. queue, name) end
  write_all('ZADD', root .. 'running', running)
  local waiting = queue .. '|' .. AVAILABLE
  local left = write_now('HINCRBY', root .. 'counts', waiting, -many)
  if left and left <= 0 then write_now('HDEL', root .. 'counts', waiting) end
  write_now('HINCRBY', root .. 'counts', queue .. '|' .. RUNNING, many)
  write_now('SET', root .. 'last', format('%d', drawn + many))
  return answer
end

local is_due = first_due and first_due <= now
if #wanted[3] == 1 and wanted[3][1][2] > 0 and not may_free and not is_due then
  local answer = claim_plain(wanted[1], wanted[2], wanted[3][1][1], wanted[3][1][2], wanted[4])
  if answer then return answer end
end
