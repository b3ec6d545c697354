-- Chooses jobs as `choosing.lua` does where that is simple, with fewer reads.

-- The offset of the field STARTED_AT in a record, and its end.
local STARTED_AT_BYTE, STARTED_AT_END = 30, 37

local made_choose_simply

-- Made where a script needs it, as the groups are.
local function choosing_simply()
  if made_choose_simply then return made_choose_simply end

  -- The cost of a job whose keys count nothing.
  local uncounted = { 1, '' }

  -- The only lane that a worker takes jobs of, of those of a queue, as 'kind|version'; nothing where there are several, or jobs that
  -- prefer others.
  local function only_lane(names, kinds)
    local only
    for _, name in ipairs(names) do
      if find(name, ';', 1, true) then return nil end
      local kind, version = string.match(name, '^(.*)|(%d+)$')
      if kind and kinds[kind] and tonumber(version) <= kinds[kind] then
        if only then return nil end
        only = name
      end
    end
    return only
  end

  -- The first groups of a lane that are open, each with its first members and their ranks in turn; nothing where one is not as a claim
  -- leaves it, or keys of theirs have more to be looked at than slots.
  local function simple_groups(made, queue, lane, wanted)
    local lane_name = queue .. '|' .. lane
    local found = call('ZRANGE', root .. 'groups|' .. lane_name, '0', format('%d', wanted - 1))
    local groups_found, keys = {}, {}
    local each = math.ceil(2 * wanted / max(#found, 1))
    for n, entry in ipairs(found) do
      local text = #entry > 66 and string.byte(entry, 66) == BAR and sub(entry, 67)
      local name = text and lane_name .. '|' .. text
      if not name or made.is_known(name) then return nil end
      for _, key in ipairs(made.split(text)) do
        keys[#keys + 1] = key
      end
      -- The fields of a group: its entry, name and keys; its members; the first that is not taken; how many were read; its rank.
      groups_found[n] = { entry, name, text, false, 1, 0, 0 }
    end
    made.load_keys(keys)
    local set = call('EXISTS', root .. 'closing') == 1 and {}
    for _, key in ipairs(keys) do
      if not made.slots_of(key) then return nil end
      if set then set[key] = true end
    end
    if set and #made.with_lists(set) > 0 then return nil end
    -- Numbers in text: the server would write each with more care than whole ones need.
    local to = format('%d', each - 1)
    for _, group in ipairs(groups_found) do
      local members = call('ZRANGE', root .. 'group|' .. group[2], '0', to, 'WITHSCORES')
      if not members[1] or sub(members[1], 1, 16) ~= sub(group[1], 1, 16) then return nil end
      group[4], group[6], group[7] = members, #members / 2, tonumber(members[2])
    end
    return groups_found, each
  end

  -- Takes the first members of groups in their order, at most `wanted`, and answers these and for each its group.
  local function merge(groups_found, each, wanted)
    local chosen, of, many, first, last = {}, {}, 0, 1, #groups_found
    while many < wanted and first <= last do
      local group = groups_found[first]
      local members, at = group[4], group[5]
      many = many + 1
      chosen[many], of[many] = members[at], group
      at = at + 2
      group[5] = at
      if not members[at] and group[6] % each == 0 and group[6] == #members / 2 then
        local from, to = format('%d', group[6]), format('%d', group[6] + each - 1)
        local more = call('ZRANGE', root .. 'group|' .. group[2], from, to, 'WITHSCORES')
        for n = 1, #more do
          members[#members + 1] = more[n]
        end
        group[6] = group[6] + max(#more / 2, 1)
      end
      local member = members[at]
      if not member then
        first = first + 1
      else
        -- It has its place behind those whose heads go before its next one, which is mostly behind all.
        local rank, n = tonumber(members[at + 1]), last
        while n > first do
          local other = groups_found[n]
          if other[7] < rank or other[7] == rank and other[4][other[5]] < member then break end
          groups_found[n + 1] = other
          n = n - 1
        end
        groups_found[n + 1], group[7] = group, rank
        first, last = first + 1, last + 1
      end
    end
    return chosen, of
  end

  -- True for the record of a job that waits under a member, has no worker, output, children, unique key nor parent, and costs one slot and
  -- one unit. It is compared with what it would be, because to read its fields costs more.
  -- `packed_names` are the queue, the kind and no unique key.
  local function is_simple_head(record, member, packed_names, keys)
    local expected = packed_names .. struct_pack('>I2c0I2', #keys, keys, 0)
    local fixed_at = WORKER_AT + 8
    local at = fixed_at + 36
    return record and #record == at + #expected + 7
      and string.byte(record) == AVAILABLE
      and sub(record, WORKER_AT, fixed_at - 1) == '\0\0\0\0\0\0\0\0'
      and sub(record, at, at + #expected - 1) == expected
      and format('%016d', struct_unpack('>i8', record, fixed_at)) == sub(member, 1, 16)
  end

  -- Chooses as `choose` does where that is simple, as it mostly is: all that waits is of one lane and has limit keys, which admit all of
  -- it and keep no other back. `names` are those of the lanes of the queue. Answers the members, their ids, the keys of their records and
  -- these; nothing where it is not simple, and nothing is noted then.
  local function choose_simply(queue, names, kinds, wanted, costs)
    if keyed.is_fair or keyed.is_limited or keyed.over then return nil end
    local made, lane = groups(), only_lane(names, kinds)
    local lane_key = lane and root .. 'lane|' .. queue .. '|' .. lane
    if not lane or call('ZCOUNT', lane_key, '-inf', PLAIN) > 0 then return nil end
    local groups_found, each = simple_groups(made, queue, lane, wanted)
    if not groups_found or not groups_found[1] then return nil end
    local all = {}
    for n, group in ipairs(groups_found) do
      all[n] = group
    end
    local chosen, of = merge(groups_found, each, wanted)
    local record_keys, ids, used = {}, {}, {}
    for n, member in ipairs(chosen) do
      ids[n] = id_of(member)
      record_keys[n] = root .. 'm:' .. ids[n]
    end
    local records, kind = call('MGET', unpack(record_keys)), string.match(lane, '^(.*)|%d+$')
    local packed_names = struct_pack('>I2c0I2c0I2', #queue, queue, #kind, kind, 0)
    for n, record in ipairs(records) do
      local keys = of[n][3]
      if not is_simple_head(record, chosen[n], packed_names, keys) then return nil end
      for _, key in ipairs(made.split(keys)) do
        local most, taken = made.slots_of(key)
        if most < math.huge then
          taken = used[key] or taken
          if taken > 0 and taken + 1 > most then return nil end
          used[key] = taken + 1
        end
      end
    end
    sources[lane_key] = sources[lane_key] or { queue, lane }
    for n, member in ipairs(chosen) do
      local keys = of[n][3]
      local counted = made.take(keys, 1, 1)
      costs[ids[n]] = counted == '' and uncounted
        or { 1, counted, sub(records[n], STARTED_AT_BYTE, STARTED_AT_END) == '\0\0\0\0\0\0\0\0' }
      remove_member(lane_key, member)
    end
    -- Groups of which something is taken stand before all others.
    local moved, lane_name = 0, queue .. '|' .. lane
    for _, group in ipairs(all) do
      local at = group[5]
      if at > 1 then
        local member = group[4][at]
        moved = moved + 1
        made.pop(group[2], (at - 1) / 2, not member)
        made.move(queue, lane_name, group[2], group[3], member, group[4][at + 1])
      end
    end
    made.drop(lane_name, moved)
    return chosen, ids, record_keys, records
  end

  made_choose_simply = choose_simply
  return made_choose_simply
end
