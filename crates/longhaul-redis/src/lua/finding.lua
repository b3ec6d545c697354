-- Finds jobs that may fit a filter, newest first: for the scripts that list jobs and act on them.

-- True where all wanted states have sets of their own, which hold far fewer jobs than there are.
local function is_of_few(states)
  for state in pairs(states or {}) do
    if not LISTED[state] and state ~= RUNNING then return false end
  end
  return states
end

-- Ids and seqs of jobs that were enqueued before a seq, or '' for any: of all that may have these states and parents, `scanned` of them at
-- most, or of those that are `named`. Answers the two lists, and true where there are more.
local function find_candidates(before, scanned, states, parents, named)
  local newest, oldest_seq = before == '' and '+inf' or '(' .. before, before == '' and math.huge or tonumber(before)
  local candidates, sets = {}, 0

  local function add(id, seq)
    candidates[#candidates + 1] = { id, seq }
  end

  -- Adds the newest of a set of ids by seq.
  local function add_newest(key)
    local found = call('ZREVRANGEBYSCORE', key, newest, '-inf', 'WITHSCORES', 'LIMIT', 0, scanned + 1)
    for i = 1, #found, 2 do
      add(found[i], tonumber(found[i + 1]))
    end
    sets = sets + 1
  end

  if named then
    read_jobs(named)
    local seen = {}
    for _, id in ipairs(named) do
      if jobs[id] and jobs[id][SEQ] < oldest_seq and not seen[id] then
        seen[id] = true
        add(id, jobs[id][SEQ])
      end
    end
  elseif parents then
    for parent in pairs(parents) do
      add_newest(root .. 'of|' .. parent)
    end
  elseif is_of_few(states) then
    for state in pairs(states) do
      if state ~= RUNNING then
        add_newest(LISTED[state])
      else
        -- There are never more of these than all workers have slots.
        for _, member in ipairs(call('ZRANGEBYSCORE', running_key, '-inf', '(+inf')) do
          local seq = seq_of(member)
          if seq < oldest_seq then add(id_of(member), seq) end
        end
        sets = sets + 1
      end
    end
  else
    add_newest(root .. 'all')
  end

  -- Those of one set come in order.
  if named or sets > 1 or states and states[RUNNING] then table.sort(candidates, function(a, b) return a[2] > b[2] end) end
  local ids, seqs = {}, {}
  for i = 1, min(#candidates, scanned) do
    ids[i], seqs[i] = candidates[i][1], candidates[i][2]
  end
  return ids, seqs, #candidates > scanned
end
