-- Chooses the jobs of a queue that a claim takes where jobs with limit keys wait or the queue is fair.

-- The offset of the field WORKER in a record.
local WORKER_AT = 86
-- The offsets of the token and of the field RUN_AT in a record.
local TOKEN_AT, RUN_AT_BYTE = 22, 2
-- The groups that one call keeps back: each costs as much as some jobs.
local GROUPS_AT_ONCE = 200
-- And those that it passes over, which wait behind jobs of the same keys that are kept back, or for other workers, of each so many, and
-- which the next call meets again.
local PASSED_AT_ONCE = 1000

-- Notes that members go at the beginning of a claim source.
local function pop(key, many)
  popped[key] = (popped[key] or 0) + many
end

local made_choosing

-- Made where a script needs it, as the groups are.
local function choosing()
  if made_choosing then return made_choosing end

  -- The state of a job, its seq, its keys, and what it costs.
  local function read_head(record)
    local _, _, _, at = struct_unpack('>I2c0I4c0I2c0', record, WORKER_AT)
    local seq, _, _, _, _, _, _, _, _, keys, _, rest = struct_unpack(FIXED_FORMAT, record, at)
    local slots, units = 1, 1
    if #record >= rest + 15 then
      slots, units = struct_unpack('>I4I4', record, rest + 8)
    end
    return string.byte(record), seq, keys, slots, units
  end

  -- True where a worker has all labels that jobs prefer.
  local function has_all(labels, prefer)
    for pair in string.gmatch(prefer, '[^;!]+') do
      local is_there = false
      for _, label in ipairs(labels) do
        is_there = is_there or label == pair
      end
      if not is_there then return false end
    end
    return true
  end

  -- The lanes of a queue that a worker takes jobs of, as 'kind|version' or 'kind;prefer|version', of which one with open groups has a
  -- mark; of each the lane in which its jobs stand among others, and what they prefer; and those whose jobs wait for others for a time.
  local function known_lanes(queue, kinds, labels)
    local lanes, seen, bases, prefers, are_held = {}, {}, {}, {}, {}
    for _, name in ipairs(call('SMEMBERS', root .. 'lanes|' .. queue)) do
      local lane, kind, prefer, version = string.match(name, '^(([^;|]*)([^|]*)|(%d+))')
      if lane and not seen[lane] and kinds[kind] and tonumber(version) <= kinds[kind] then
        local does_fit = prefer == '' or has_all(labels, prefer)
        if does_fit or sub(prefer, 2, 2) ~= '!' then
          lanes[#lanes + 1], seen[lane] = lane, true
          bases[lane], prefers[lane], are_held[lane] = kind .. '|' .. version, prefer, not does_fit
        end
      end
    end
    return lanes, bases, prefers, are_held
  end

  -- Answers the members of at most `wanted` jobs in the order in which they are claimed, and true where so many groups were kept
  -- back that others are left for the next call. What they cost goes to `costs`, by id, where they have keys: slots, the keys that count these, and true for
  -- one that is known never to have run. Members without keys leave their lanes, and those with keys their groups and lanes.
  local function choose(queue, kinds, labels, wanted, costs)
    local made, lanes, bases, prefers, are_held = groups(), known_lanes(queue, kinds, labels)
    -- The name of the queue's limits among those of keys.
    local limit = keyed.is_limited and made.is_limited(queue) and '=' .. queue
    if limit then made.load_keys({ limit }) end
    -- Jobs that are over stay where they are, and what is taken behind them is taken out by name.
    local over = keyed.over
    local fair = made.is_fair(queue)
    local chosen, many, kept_back, passed, held = {}, 0, 0, 0, 0
    -- The members among these. A job with limit keys that a process of an older release has claimed and put back stands in its lane as one
    -- without keys, and still in its group, and must be claimed once.
    local is_chosen = {}
    -- The keys whose head was refused: what waits of them in other lanes is behind it.
    local refused = {}
    local streams, returned, touched, advanced = {}, {}, {}, {}
    local has_lists, lists_by_key, opened = call('EXISTS', root .. 'closing') == 1, {}, {}
    local lane_keys = {}
    for _, lane in ipairs(lanes) do
      lane_keys[lane] = root .. 'lane|' .. queue .. '|' .. bases[lane]
    end

    local function is_before(a, b)
      local a_score, b_score = a.score, b.score
      if fair and a.is_plain then a_score = made.turn_of(queue, '') end
      if fair and b.is_plain then b_score = made.turn_of(queue, '') end
      if a_score ~= b_score then return a_score < b_score end
      if a.tie ~= b.tie then return a.tie < b.tie end
      if a.rank ~= b.rank then return a.rank < b.rank end
      return a.member < b.member
    end

    local function put_back(candidate)
      local n = #returned
      while n > 0 and is_before(candidate, returned[n]) do
        n = n - 1
      end
      table.insert(returned, n + 1, candidate)
    end

    -- Reads the next members of groups, and the records of their heads in one go.
    local function read_members_of(candidates)
      local each = min(max(math.ceil((wanted - many) / #candidates), 1), 100) + 1
      local keys, of = {}, {}
      for _, candidate in ipairs(candidates) do
        local from = candidate.read
        local found = call('ZRANGE', root .. 'group|' .. candidate.name, from, from + each - 1, 'WITHSCORES')
        candidate.found, candidate.records, candidate.at = found, {}, 1
        candidate.read, candidate.is_all = from + #found / 2, #found < 2 * each
        if found[1] and #candidates > 1 then
          keys[#keys + 1] = root .. 'm:' .. id_of(found[1])
          of[#keys] = candidate
        end
      end
      if #keys == 0 then return end
      for i, record in ipairs(call('MGET', unpack(keys))) do
        of[i].records[1] = record
      end
    end

    -- The record of the head of a group, which is read with those behind it where it has not been read yet.
    local function record_of(candidate)
      local found, records = candidate.found, candidate.records
      local first = (candidate.at + 1) / 2
      if records[first] == nil then
        local keys = {}
        for n = candidate.at, min(#found, candidate.at + 2 * max(wanted - many, 1) - 1), 2 do
          keys[#keys + 1] = root .. 'm:' .. id_of(found[n])
        end
        for i, record in ipairs(call('MGET', unpack(keys))) do
          records[first + i - 1] = record
        end
      end
      return records[first]
    end

    -- Drops a member of a group whose job does not wait there: an older release has moved it, or its record is damaged or lost.
    local function drop(candidate, member, record, is_read, seq)
      local is_there = call('ZSCORE', candidate.lane_key, member)
      if not is_there then return end
      sources[candidate.lane_key] = { queue, bases[candidate.lane] }
      if not record then
        forget_member(candidate.lane_key, member, AVAILABLE)
      elseif not is_read then
        fail_damaged(candidate.lane_key, member, AVAILABLE)
      else
        remove_member(candidate.lane_key, member)
        -- Another one was made anew under the id of a job whose record is lost, and that one was counted here.
        if seq ~= seq_of(member) then count(queue, AVAILABLE, -1) end
      end
    end

    local function set_place(candidate)
      if fair then
        candidate.score, candidate.tie = made.turn_of(queue, candidate.keys), candidate.keys
      else
        candidate.score, candidate.tie = candidate.rank, sub(candidate.member, 1, 16) .. BETWEEN .. candidate.keys
      end
    end

    -- Has the head of a group leave it.
    local function leave(candidate)
      if candidate.first_over then
        made.pluck(candidate.name, candidate.member)
      else
        candidate.gone = candidate.gone + 1
      end
      candidate.at, touched[candidate] = candidate.at + 2, true
    end

    -- Gives a group its next head, and answers false where it is empty.
    local function find_head(candidate)
      local member
      repeat
        if not candidate.found[candidate.at] and not candidate.is_all then read_members_of({ candidate }) end
        member = candidate.found[candidate.at]
        local is_over = over and member and over[member]
        if is_over then
          candidate.first_over = candidate.first_over or { member, tonumber(candidate.found[candidate.at + 1]) }
          candidate.at, touched[candidate] = candidate.at + 2, true
        end
      until not is_over
      if not member then
        candidate.member, touched[candidate] = nil, true
        return false
      end
      candidate.member, candidate.rank = member, tonumber(candidate.found[candidate.at + 1])
      set_place(candidate)
      return true
    end

    -- Reads what the head of a group costs, and answers false where it does not wait there: then the group has the next one.
    local function is_waiting(candidate)
      local record = record_of(candidate)
      local is_read, state, seq, keys, slots, units = pcall(read_head, record or nil)
      if is_read and state == AVAILABLE and keys == candidate.keys .. prefers[candidate.lane] and seq == seq_of(candidate.member) then
        candidate.slots, candidate.units = slots, units
        return true
      end
      drop(candidate, candidate.member, record, is_read, seq)
      leave(candidate)
      if find_head(candidate) then put_back(candidate) end
      return false
    end

    local function new_candidate(lane, keys)
      local lane_name = queue .. '|' .. lane
      local name = lane_name .. '|' .. keys
      -- With room for all, because a table that grows costs more.
      return {
        name = name, keys = keys, lane = lane, lane_key = lane_keys[lane], group = made.group(name), read = 0, gone = 0, found = false,
        records = false, at = 1, is_all = false, member = false, rank = 0, score = 0, tie = '', entry = false, entry_score = 0, slots = 1,
        units = 1, first_over = false,
      }
    end

    local function read_plain(stream)
      local from, asked = (popped[stream.key] or 0) + stream.ahead, min(max(wanted - many, 1), 100)
      local found =
        call('ZRANGEBYSCORE', stream.key, '-inf', PLAIN, 'WITHSCORES', 'LIMIT', from, asked)
      local ids, records = {}, {}
      for n = 1, #found, 2 do
        ids[#ids + 1] = id_of(found[n])
      end
      -- The costs of plain jobs count for their turns and for the limits of the queue.
      if fair or limit then records = read_all('m:', ids) end
      for n = 1, #found, 2 do
        local is_read, _, seq, keys, slots, units = pcall(read_head, records[(n + 1) / 2] or nil)
        local rank = tonumber(found[n + 1])
        -- One that a process of an older release has put back has limit keys: `take` puts it into its group. And it takes none of which the
        -- record is lost, where another one was made anew under its id.
        local is_taken = not is_read or keys == '' and seq == seq_of(found[n])
        if not (over and over[found[n]]) then
          stream.found[#stream.found + 1] = {
            is_plain = true, key = stream.key, member = found[n], rank = rank, score = rank, tie = fair and '' or found[n],
            slots = slots or 1, units = units or 1, is_taken = is_taken,
          }
        end
      end
      stream.ahead = stream.ahead + #found / 2
      stream.is_all = #found < 2 * asked
    end

    local open_others

    -- Notes which of these keys have no lists, which is most of them.
    local function note_lists(keys)
      local unknown = {}
      for _, key in ipairs(keys) do
        if not lists_by_key[key] then unknown[key] = true end
      end
      local there = made.with_lists(unknown)
      for _, key in ipairs(there) do
        unknown[key] = nil
      end
      for key in pairs(unknown) do
        lists_by_key[key] = {}
      end
    end

    -- Opens what a group stands for of which all that waits is over, so that it is no candidate: the groups behind its head.
    local function open_behind_over(candidate)
      local head = candidate.first_over and call('GET', root .. 'm:' .. id_of(candidate.first_over[1]))
      local is_read, _, _, _, slots, units = pcall(read_head, head or nil)
      if is_read then
        candidate.slots, candidate.units = slots, units
        open_others(candidate)
      end
    end

    local function read_groups(stream)
      local asked = stream.asked
      stream.asked = min(2 * asked, 100)
      local found = call('ZRANGE', stream.key, stream.ahead, stream.ahead + asked - 1, 'WITHSCORES')
      stream.ahead, stream.is_all = stream.ahead + #found / 2, #found < 2 * asked
      local texts, names, keys = {}, {}, {}
      for n = 1, #found, 2 do
        local entry = found[n]
        local is_padded = not fair and #entry > 66 and string.byte(entry, 66) == BAR
        local text = is_padded and sub(entry, 67) or string.match(entry, '[^|]*$')
        texts[#texts + 1] = text
        if #lanes == 1 and is_padded then
          made.note_open(stream.prefix .. text, queue, stream.lane_name, text, entry, tonumber(found[n + 1]))
        else
          for _, lane in ipairs(lanes) do
            names[#names + 1] = queue .. '|' .. lane .. '|' .. text
          end
        end
        for _, key in ipairs(made.split(text)) do
          keys[#keys + 1] = key
        end
      end
      made.load_groups(names)
      made.load_keys(keys)
      if has_lists then note_lists(keys) end
      local candidates = {}
      for n, text in ipairs(texts) do
        local candidate = new_candidate(stream.lane, text)
        if candidate.group.seq and candidate.group.where == '' and not stream.seen[text] then
          stream.seen[text] = true
          candidate.entry, candidate.entry_score = found[2 * n - 1], tonumber(found[2 * n])
          candidates[#candidates + 1] = candidate
        elseif not stream.seen[text] then
          -- It is elsewhere by now.
          write('ZREM', stream.key, found[2 * n - 1])
        end
      end
      if #candidates == 0 then return end
      read_members_of(candidates)
      for _, candidate in ipairs(candidates) do
        if find_head(candidate) then
          local is_in_order = candidate.score == candidate.entry_score and candidate.tie == candidate.entry
          if is_in_order then
            stream.found[#stream.found + 1] = candidate
          else
            touched[candidate] = true
            put_back(candidate)
          end
        else
          open_behind_over(candidate)
        end
      end
    end

    for _, lane in ipairs(lanes) do
      local key = lane_keys[lane]
      sources[key] = sources[key] or { queue, bases[lane] }
      if prefers[lane] == '' then streams[#streams + 1] = { key = key, ahead = 0, found = {}, at = 1, read = read_plain } end
      streams[#streams + 1] = {
        key = root .. 'groups|' .. queue .. '|' .. lane, lane = lane, ahead = 0, found = {}, at = 1, read = read_groups,
        asked = min(max(wanted, 4), 100), seen = {}, lane_name = queue .. '|' .. lane, prefix = queue .. '|' .. lane .. '|',
      }
    end

    -- Takes the first of all candidates out.
    local function first()
      local best
      for _, stream in ipairs(streams) do
        while not stream.found[stream.at] and not stream.is_all do
          stream.read(stream)
        end
      end
      for _, stream in ipairs(streams) do
        local candidate = stream.found[stream.at]
        if candidate and (not best or is_before(candidate, best.found[best.at])) then best = stream end
      end
      local candidate = best and best.found[best.at]
      if returned[1] and (not candidate or is_before(returned[1], candidate)) then return table.remove(returned, 1) end
      if candidate then best.at = best.at + 1 end
      return candidate
    end

    -- The lists of a key as a set.
    local function lists_of(key)
      if not lists_by_key[key] then
        lists_by_key[key] = {}
        for _, list in ipairs(has_lists and call('SMEMBERS', root .. 'closing|' .. key) or {}) do
          lists_by_key[key][list] = true
        end
      end
      return lists_by_key[key]
    end

    -- Opens the next group of the list on which a group like this one is kept back by a key, where the key admits it.
    local function open_next(key, slots, units, lane)
      local list = slots .. ',' .. units .. '|' .. queue .. '|' .. lane
      if not lists_of(key)[list] then return end
      local at = made.refuses(key, slots, units)
      if at then return made.note_opens(key, at, queue) end
      local set = root .. 'closed|' .. key .. '|' .. list
      while true do
        local from = opened[set] or 0
        local found = call('ZRANGE', set, from, from, 'WITHSCORES')
        local entry = found[1]
        if not entry then
          lists_of(key)[list] = nil
          return
        end
        opened[set] = from + 1
        local candidate = new_candidate(lane, string.match(entry, '[^|]*$'))
        local group = candidate.group
        if group.seq and group.where == key .. '|' .. slots .. ',' .. units then
          group.where = ''
          touched[candidate] = true
          made.load_keys(made.split(candidate.keys))
          read_members_of({ candidate })
          if find_head(candidate) then
            put_back(candidate)
            -- One that has had a turn meanwhile does not stand for those behind it.
            if candidate.score == tonumber(found[2]) then return end
          end
        else
          write('ZREM', set, entry)
        end
      end
    end

    -- Opens what a group stands for that leaves its place: the next on the lists of its keys, but for the one that keeps it back.
    function open_others(candidate, by)
      for _, key in ipairs(has_lists and made.split(candidate.keys) or {}) do
        if key ~= by then open_next(key, candidate.slots, candidate.units, candidate.lane) end
      end
    end

    -- True where the head of a group waits for other workers, and when it does so no more.
    local function is_held(lane, record)
      local until_then = are_held[lane] and record and struct_unpack('>i8', record, RUN_AT_BYTE) + PREFER_FOR or 0
      return until_then > now, until_then
    end

    local function waits_for_others(candidate)
      local waits, until_then = is_held(candidate.lane, record_of(candidate))
      if waits then made.note_opens(';' .. queue, until_then, queue) end
      return waits
    end

    -- The record of the head of a group.
    local function head_of(group)
      local head = call('ZRANGE', root .. 'group|' .. group.name, 0, 0)[1]
      return head and call('GET', root .. 'm:' .. id_of(head))
    end

    -- True where jobs of the same keys wait in another lane before this one, and are kept back.
    local function is_behind_another(candidate)
      for _, lane in ipairs(lanes) do
        local other = lane ~= candidate.lane and made.group(queue .. '|' .. lane .. '|' .. candidate.keys)
        if other and other.seq and other.where ~= '' then
          local seq = sub(candidate.member, 1, 16)
          local is_before_it = other.rank < candidate.rank or other.rank == candidate.rank and other.seq < seq
          if is_before_it and not (are_held[lane] and is_held(lane, head_of(other))) then return true end
        end
      end
      return false
    end

    -- Keeps a group back by the key that does so for longest, where any does.
    local function is_kept_back(candidate)
      local by, latest = nil, 0
      for _, key in ipairs(made.split(candidate.keys)) do
        local at = made.refuses(key, candidate.slots, candidate.units)
        if at and at >= latest then
          by, latest = key, at
        end
      end
      if not by then return false end
      made.note_opens(by, latest, queue)
      touched[candidate] = true
      candidate.group.where = by .. '|' .. candidate.slots .. ',' .. candidate.units
      open_others(candidate, by)
      return true
    end

    -- True where the limits of the queue keep a job back, and with it all behind it.
    local function is_full(candidate)
      local at = limit and made.refuses(limit, candidate.slots, candidate.units)
      if at then made.note_opens(limit, at, queue) end
      return at
    end

    local function take_head(candidate)
      local slots, units, keys = candidate.slots, candidate.units, candidate.keys
      many = many + 1
      chosen[many], is_chosen[candidate.member] = candidate.member, true
      costs[id_of(candidate.member)] = { slots, made.take(limit and made.with_queue(queue, keys) or keys, slots, units) }
      remove_member(candidate.lane_key, candidate.member)
      leave(candidate)
      if fair then
        made.next_turn(queue, keys, slots)
        advanced[keys] = true
      end
      open_others(candidate)
      if find_head(candidate) then put_back(candidate) end
    end

    -- Has this call look no further among jobs that wait for others: what need not wait stands behind very many of them.
    local function leave_held_out()
      for _, stream in ipairs(streams) do
        if are_held[stream.lane] then
          stream.found, stream.at, stream.is_all = {}, 1, true
        end
      end
    end

    while many < wanted and kept_back < GROUPS_AT_ONCE and passed < PASSED_AT_ONCE do
      local candidate = first()
      if not candidate then break end
      if candidate.is_plain and is_full(candidate) then
        break
      elseif candidate.is_plain then
        if not is_chosen[candidate.member] then
          if limit and candidate.is_taken then
            costs[id_of(candidate.member)] = { candidate.slots, made.take(limit, candidate.slots, candidate.units) }
          end
          if fair and candidate.is_taken then made.next_turn(queue, '', candidate.slots) end
          many = many + 1
          chosen[many], is_chosen[candidate.member] = candidate.member, true
        end
        if over then remove_member(candidate.key, candidate.member) else pop(candidate.key, 1) end
        for _, stream in ipairs(over and {} or streams) do
          -- The next read is counted from the beginning of the remaining entries.
          if stream.key == candidate.key then stream.ahead = stream.ahead - 1 end
        end
      elseif is_chosen[candidate.member] then
        leave(candidate)
        if find_head(candidate) then put_back(candidate) end
      elseif not is_waiting(candidate) then
        -- It has come back with its next head.
      elseif are_held[candidate.lane] and waits_for_others(candidate) then
        held = held + 1
        if held < PASSED_AT_ONCE then open_others(candidate) else leave_held_out() end
      elseif fair and candidate.score ~= made.turn_of(queue, candidate.keys) then
        set_place(candidate)
        put_back(candidate)
        open_others(candidate)
      elseif refused[candidate.keys] or #lanes > 1 and is_behind_another(candidate) then
        refused[candidate.keys], passed = true, passed + 1
        open_others(candidate)
      elseif is_kept_back(candidate) then
        refused[candidate.keys], kept_back = true, kept_back + 1
      elseif is_full(candidate) then
        break
      else
        take_head(candidate)
      end
    end

    for candidate in pairs(touched) do
      local group, member, rank = candidate.group, candidate.member, candidate.rank
      if candidate.first_over then
        member, rank = candidate.first_over[1], candidate.first_over[2]
      end
      if candidate.gone > 0 then made.pop(candidate.name, candidate.gone, not member) end
      group.seq, group.rank = member and sub(member, 1, 16) or false, member and rank or 0
      made.mark(group)
    end
    for keys in pairs(advanced) do
      for _, sibling in ipairs(made.siblings(queue, keys)) do
        made.mark(sibling)
        -- A group that waited behind the sibling may go before it now.
        for _, key in ipairs(has_lists and sibling.where == '' and made.split(keys) or {}) do
          made.look_again(key)
        end
      end
    end
    return chosen, kept_back >= GROUPS_AT_ONCE
  end

  -- Notes what the jobs hold that were claimed from `from` on, and gives back what was taken for those that could not be.
  local function hold_slots(claimed, from, costs)
    local holds, ids = {}, {}
    for n = from, #claimed do
      local id, fields = claimed[n][1], claimed[n][2]
      local cost = costs[id]
      if cost and cost[2] ~= '' then
        if not cost[3] then ids[#ids + 1] = id end
        holds[#holds + 1] = id
        holds[#holds + 1] = groups().hold(cost[1], struct_unpack('>i8', fields, TOKEN_AT), cost[2])
      end
      costs[id] = nil
    end
    for _, cost in pairs(costs) do
      groups().give_back(cost[2], cost[1])
    end
    -- A process of an older release has ended a run without giving back what it held.
    local earlier = keyed.is_holding and #ids > 0 and groups().read_hash('holding', ids) or {}
    for i = 1, #ids do
      local slots, keys = groups().read_hold(earlier[i])
      if slots then
        groups().load_keys(groups().split(keys))
        groups().give_back(keys, tonumber(slots))
      end
    end
    if #holds > 0 then write('HSET', root .. 'holding', unpack(holds)) end
  end

  -- Moves groups of a queue to their places where it has become fair, or is so no more, and a call that did so had to stop.
  local function go_on_with_places(queue)
    local after = call('HGET', root .. 'rehung', queue)
    if not after then return end
    local further = groups().rehang(queue, after)
    if further then write('HSET', root .. 'rehung', queue, further) else write('HDEL', root .. 'rehung', queue) end
    flush()
  end

  made_choosing = { choose = choose, hold_slots = hold_slots, go_on_with_places = go_on_with_places }
  return made_choosing
end
