-- The groups in which jobs wait that have limit keys.
--
-- A group is what waits of one lane ('queue|kind|version') and one text of keys. It stands among the open groups of its lane by
-- the place of its head, or is kept back on a list of the key that refused its head, with groups of the same lane and cost: the
-- key admits all of a list or none. When it admits a list again, the first group is opened, and each next one when the one before
-- it is taken or kept back by another key, so that no step costs more than one group.

-- The length of a turn: see `lifecycle/limits.rs`.
local TURN = 1000000
-- The separator between the seq and the keys of a group in sorted sets: see `limits.lua` on its length.
local BETWEEN = '|000000000000000000000000000000000000000000000000|'
-- And what stands before the head of a group in the hash of these.
local PLACED = '000000000000000000000000000000000000000000000000|'
-- The slots, the token and the keys of what a run holds, padded as all these are.
local HOLD_FORMAT = '%d|000000000000000000000000000000000000000000000000%016d|%s'
-- The keys that one call looks at anew.
local KEYS_AT_ONCE = 100

local made_groups

-- Made where a script needs it, as the limits are, among whose functions these are.
local function groups()
  if made_groups then return made_groups end
  local api = limits()
  made_groups = api
  local split, read_hash, load_states, load_keys = api.split, api.read_hash, api.load_states, api.load_keys
  local configs, refuses, give_back, again, woken = api.configs, api.refuses, api.give_back, api.again, api.woken

  -- Turns in fair queues: queue -> keys -> turn, and under '*' the latest that was taken.
  local turns, changed_turns, fair_queues = {}, {}, {}

  local function is_fair(queue)
    if fair_queues[queue] == nil then fair_queues[queue] = call('SISMEMBER', root .. 'fair', queue) == 1 end
    return fair_queues[queue]
  end
  api.is_fair = is_fair

  local limited_queues = {}
  function api.is_limited(queue)
    if limited_queues[queue] == nil then limited_queues[queue] = call('SISMEMBER', root .. 'limited', queue) == 1 end
    return limited_queues[queue]
  end

  -- The limit keys of a job, and that which stands for its queue where this has limits.
  function api.with_queue(queue, text)
    local keys = string.match(text, '^[^;]*')
    if not api.is_limited(queue) then return keys end
    return keys == '' and '=' .. queue or keys .. ',=' .. queue
  end

  -- The lane and the keys of a job's group: what it prefers stands behind its kind.
  local function group_of(lane, text)
    if not find(text, ';', 1, true) then return lane, text end
    local keys, prefer = string.match(text, '^([^;]*)(;.*)$')
    local kind, version = string.match(lane, '^(.*)(|%d+)$')
    return kind .. prefer .. version, keys
  end

  local function turn_of(queue, keys)
    turns[queue] = turns[queue] or {}
    if not turns[queue][keys] then turns[queue][keys] = tonumber(call('HGET', root .. 'turn|' .. queue, keys) or 0) or 0 end
    return turns[queue][keys]
  end
  api.turn_of = turn_of

  local function set_turn(queue, keys, turn)
    turns[queue] = turns[queue] or {}
    turns[queue][keys] = turn
    changed_turns[queue] = changed_turns[queue] or {}
    changed_turns[queue][keys] = true
  end

  -- Lets the next of a fair queue have its turn, after a job of these keys.
  function api.next_turn(queue, keys, slots)
    local turn, latest, first = turn_of(queue, keys), turn_of(queue, '*'), split(keys)[1]
    local step = math.floor(TURN * slots / (first and configs[first][WEIGHT] or 1))
    set_turn(queue, '*', max(turn, latest))
    set_turn(queue, keys, max(turn, latest) + step)
  end

  local function write_turns()
    for queue, changed in pairs(changed_turns) do
      local list = {}
      for keys in pairs(changed) do
        list[#list + 1] = keys
        list[#list + 1] = format('%d', turns[queue][keys])
      end
      write_all('HSET', root .. 'turn|' .. queue, list)
    end
    changed_turns = {}
  end

  -- Groups as this script leaves them, by name ('lane|keys'): the seq and rank of the head, false where nothing waits; where it is
  -- kept back ('key|slots,units', or '' where it is open); and the stored form of these.
  local known, dirty = {}, {}

  local function load_groups(names)
    local missing = {}
    for _, name in ipairs(names) do
      if not known[name] then
        known[name] = true
        missing[#missing + 1] = name
      end
    end
    for i, placed in ipairs(read_hash('placed', missing)) do
      local lane, queue, keys = string.match(missing[i], '^(([^|]*)|[^|]*|[^|]*)|(.*)$')
      local seq, rank, where
      if placed then seq, rank, where = string.match(placed, '^0*|?(%d+)|(%-?%d+)|(.*)$') end
      known[missing[i]] = {
        name = missing[i], lane = lane, queue = queue, keys = keys, stored_seq = seq or false, stored_where = where,
        seq = seq or false, rank = tonumber(rank) or 0, where = where or '',
      }
    end
  end
  api.load_groups = load_groups

  -- Notes an open group, as its entry among these tells it.
  function api.note_open(name, queue, lane, keys, entry, rank)
    if known[name] then return end
    local seq = sub(entry, 1, 16)
    known[name] = {
      name = name, lane = lane, queue = queue, keys = keys, entry = entry, stored_seq = seq, stored_where = '', seq = seq,
      rank = rank, where = '',
    }
  end

  function api.group(name)
    if not known[name] then load_groups({ name }) end
    return known[name]
  end

  -- True for a group that this script has looked at.
  function api.is_known(name)
    return known[name]
  end

  local function mark(group)
    dirty[group] = true
  end
  api.mark = mark

  -- The lanes of a queue that are not empty, as 'kind|version'.
  local function lanes_of(queue)
    local lanes = {}
    for _, name in ipairs(call('SMEMBERS', root .. 'lanes|' .. queue)) do
      if string.match(name, '|%d+$') then lanes[#lanes + 1] = name end
    end
    return lanes
  end

  -- The groups of these keys in all lanes of a queue.
  local function siblings(queue, keys)
    local names, there = {}, {}
    for _, lane in ipairs(lanes_of(queue)) do
      names[#names + 1] = queue .. '|' .. lane .. '|' .. keys
    end
    load_groups(names)
    for _, name in ipairs(names) do
      if known[name].seq then there[#there + 1] = known[name] end
    end
    return there
  end
  api.siblings = siblings

  local function arrive(queue, keys)
    set_turn(queue, keys, max(turn_of(queue, keys), turn_of(queue, '*')))
  end

  -- Jobs without keys are about to be written to a queue: where it is fair and none waited, they have no turns to catch up with.
  function api.arrive_plain(queue)
    if not is_fair(queue) or #siblings(queue, '') > 0 then return end
    for _, lane in ipairs(lanes_of(queue)) do
      local key = root .. 'lane|' .. queue .. '|' .. lane
      if #call('ZRANGEBYSCORE', key, '-inf', PLAIN, 'LIMIT', 0, 1) > 0 then return end
    end
    arrive(queue, '')
  end

  -- Gives a group its head, or none. It is open then: whoever meets it says what keeps it back.
  local function set_head(group, member, rank)
    local seq = member and sub(member, 1, 16) or false
    if group.seq == seq and (not seq or group.rank == rank) then return end
    if not group.seq and is_fair(group.queue) then
      if group.keys == '' then
        api.arrive_plain(group.queue)
      elseif #siblings(group.queue, group.keys) == 0 then
        arrive(group.queue, group.keys)
      end
    end
    if group.seq and group.where == '' then
      for _, key in ipairs(split(group.keys)) do
        again[key] = true
      end
    end
    group.seq, group.rank, group.where = seq, rank, ''
    -- Also where none is left: jobs of the same keys in other lanes may have waited behind it.
    woken['q' .. group.queue] = true
    mark(group)
  end

  -- Noted: name -> members that come as scores and members, members that go, and how many go at its beginning; keys of groups that
  -- are taken whole.
  local coming, going, popping, emptied = {}, {}, {}, {}
  -- Of the members that come to a group, the first and its rank.
  local first_of, first_ranks = {}, {}

  function api.add(lane, text, rank, member)
    local group_lane, keys = group_of(lane, text)
    local name = group_lane .. '|' .. keys
    local list = coming[name]
    if not list then
      list = {}
      coming[name] = list
    end
    list[#list + 1] = format('%d', rank)
    list[#list + 1] = member
    local first = first_ranks[name]
    if not first or rank < first or rank == first and member < first_of[name] then
      first_of[name], first_ranks[name] = member, rank
    end
  end

  function api.remove(lane, text, member)
    local group_lane, keys = group_of(lane, text)
    local name = group_lane .. '|' .. keys
    local noted = coming[name]
    for n = noted and #noted or 0, 2, -2 do
      if noted[n] == member then
        table.remove(noted, n)
        table.remove(noted, n - 1)
      end
    end
    going[name] = going[name] or {}
    table.insert(going[name], member)
  end

  -- Members go at the beginning of a group, whose head the caller sets; all of them, where `is_all` says so.
  function api.pop(name, many, is_all)
    if is_all then
      emptied[#emptied + 1] = root .. 'group|' .. name
    else
      popping[name] = (popping[name] or 0) + many
    end
  end

  -- A member goes that does not stand at the beginning, so that the head stays.
  local plucked = {}
  function api.pluck(name, member)
    plucked[name] = plucked[name] or {}
    table.insert(plucked[name], member)
  end

  -- Writes who comes to groups and who goes, and finds the heads.
  local function write_members_of_groups()
    write_all('DEL', nil, emptied)
    for name, many in pairs(popping) do
      -- In text: the server would write each number with more care than whole ones need.
      write_now('ZREMRANGEBYRANK', root .. 'group|' .. name, '0', many == 1 and '0' or format('%d', many - 1))
    end
    for name, members in pairs(plucked) do
      write_all('ZREM', root .. 'group|' .. name, members)
    end
    plucked = {}
    local names = {}
    for name, members in pairs(going) do
      names[#names + 1] = name
      write_all('ZREM', root .. 'group|' .. name, members)
    end
    for name, members in pairs(coming) do
      if not going[name] then names[#names + 1] = name end
      write_all('ZADD', root .. 'group|' .. name, members)
    end
    load_groups(names)
    for _, name in ipairs(names) do
      local group, first, rank = known[name], first_of[name], first_ranks[name]
      if going[name] then
        local head = write_now('ZRANGE', root .. 'group|' .. name, '0', '0', 'WITHSCORES') or {}
        set_head(group, head[1], tonumber(head[2]))
      elseif not group.seq or rank < group.rank or rank == group.rank and first < group.seq then
        set_head(group, first, rank)
      end
    end
    coming, going, popping, emptied, first_of, first_ranks = {}, {}, {}, {}, {}, {}
  end

  local function set_of(lane, where)
    return where == '' and 'groups|' .. lane or 'closed|' .. where .. '|' .. lane
  end

  local function listed(lists, key)
    lists[key] = lists[key] or {}
    return lists[key]
  end

  -- Keeps the marks in step that say which lanes have open groups and which keys have lists.
  local function mark_set(set, lane, where, has_more)
    local queue, rest = string.match(lane, '^([^|]*)|(.*)$')
    local is_empty = not has_more and call('EXISTS', root .. set) == 0
    if where == '' then
      if has_more or is_empty then
        write_now(has_more and 'SADD' or 'SREM', root .. 'lanes|' .. queue, rest .. '|groups')
      end
      return
    end
    local key, cost = string.match(where, '^(.*)|(.*)$')
    if has_more then
      write_now('SADD', root .. 'closing|' .. key, cost .. '|' .. lane)
      write_now('ZADD', root .. 'closing', 0, key)
    elseif is_empty then
      write_now('SREM', root .. 'closing|' .. key, cost .. '|' .. lane)
      if call('EXISTS', root .. 'closing|' .. key) == 0 then write_now('ZREM', root .. 'closing', key) end
    end
  end

  -- The pending writes of `write_groups`: by set the number of entries to drop at its beginning, entries to remove, and scores and entries
  -- to add; by name the places of groups, and the names of groups to delete; by queue the groups to unlink from keys; and by set its lane
  -- and the key that holds it back.
  local dropped, removed, added, places, gone, unhung, sets = {}, {}, {}, {}, {}, {}, {}

  local function unhang(queue, lane, keys)
    local list, rest = listed(unhung, queue), sub(lane, #queue + 2) .. '|' .. keys
    for _, key in ipairs(split(keys)) do
      list[#list + 1] = key .. ' ' .. rest
    end
  end

  -- Notes that the first open groups of a lane leave their places.
  function api.drop(lane, many)
    local set = 'groups|' .. lane
    if not sets[set] then sets[set] = { lane, '' } end
    dropped[set] = many
  end

  -- Notes that one of these, of which this script knows no more than its entry, has another head, whose rank is in text, or none.
  function api.move(queue, lane, name, keys, member, rank)
    local set = 'groups|' .. lane
    if not member then
      gone[#gone + 1] = name
      return unhang(queue, lane, keys)
    end
    local seq, comes, n, p = sub(member, 1, 16), listed(added, set), nil, #places
    n = #comes
    comes[n + 1], comes[n + 2] = rank, seq .. BETWEEN .. keys
    places[p + 1], places[p + 2] = name, PLACED .. seq .. '|' .. rank .. '|'
  end

  local function write_groups()
    local hung, preferring, placed = {}, {}, #places
    for group in pairs(dirty) do
      local keys = group.keys
      if group.stored_seq then
        local set = set_of(group.lane, group.stored_where)
        if not sets[set] then sets[set] = { group.lane, group.stored_where } end
        local list = listed(removed, set)
        local n = #list
        if group.entry then
          list[n + 1] = group.entry
        else
          -- A queue that is fair now may not have been when this was written, nor was it padded by a process of before.
          list[n + 1], list[n + 2], list[n + 3] = group.stored_seq .. BETWEEN .. keys, keys, group.stored_seq .. '|' .. keys
        end
      end
      if group.seq then
        local set = set_of(group.lane, group.where)
        if not sets[set] then sets[set] = { group.lane, group.where } end
        local list, fair = listed(added, set), is_fair(group.queue)
        local n = #list
        group.entry = fair and keys or group.seq .. BETWEEN .. keys
        list[n + 1], list[n + 2] = format('%d', fair and turn_of(group.queue, keys) or group.rank), group.entry
        places[placed + 1], places[placed + 2] = group.name, format('%s%s|%d|%s', PLACED, group.seq, group.rank, group.where)
        placed = placed + 2
      else
        gone[#gone + 1] = group.name
      end
      if not group.seq ~= not group.stored_seq then
        if find(group.lane, ';', 1, true) then
          preferring[group.lane] = (preferring[group.lane] or 0) + (group.seq and 1 or -1)
        end
        local list, rest = listed(hung, group.queue), sub(group.lane, #group.queue + 2) .. '|' .. keys
        if not group.seq then unhang(group.queue, group.lane, keys) end
        for _, key in ipairs(group.seq and split(keys) or {}) do
          list[#list + 1] = 0
          list[#list + 1] = key .. ' ' .. rest
        end
      end
      group.stored_seq, group.stored_where = group.seq, group.where
    end
    dirty = {}
    write_all('HDEL', root .. 'placed', gone)
    write_all('HSET', root .. 'placed', places)
    for set, many in pairs(dropped) do
      write_now('ZREMRANGEBYRANK', root .. set, '0', format('%d', many - 1))
    end
    for set, list in pairs(removed) do
      write_all('ZREM', root .. set, list)
    end
    for set, list in pairs(added) do
      write_all('ZADD', root .. set, list)
    end
    for queue, list in pairs(unhung) do
      write_all('ZREM', root .. 'hung|' .. queue, list)
    end
    for queue, list in pairs(hung) do
      write_all('ZADD', root .. 'hung|' .. queue, list)
    end
    for lane, difference in pairs(preferring) do
      local queue, rest = string.match(lane, '^([^|]*)|(.*)$')
      local left = write_now('HINCRBY', root .. 'preferring', lane, difference)
      if left and left <= 0 then write_now('HDEL', root .. 'preferring', lane) end
      write_now(left and left > 0 and 'SADD' or 'SREM', root .. 'lanes|' .. queue, rest)
    end
    for set, of in pairs(sets) do
      mark_set(set, of[1], of[2], added[set] ~= nil)
    end
    dropped, removed, added, places, gone, unhung, sets = {}, {}, {}, {}, {}, {}, {}
    write_turns()
  end

  -- Opens the first group of each list that a key admits again, and notes when time does that of the others.
  local function look_at_lists(key)
    for _, list in ipairs(call('SMEMBERS', root .. 'closing|' .. key)) do
      local slots, units, lane = string.match(list, '^(%d+),(%d+)|(.*)$')
      local at = refuses(key, tonumber(slots), tonumber(units))
      local set = 'closed|' .. key .. '|' .. list
      local entry = not at and call('ZRANGE', root .. set, 0, 0)[1]
      while entry do
        local group = api.group(lane .. '|' .. string.match(entry, '[^|]*$'))
        if group.seq and set_of(lane, group.where) == set then
          group.where = ''
          mark(group)
          woken['q' .. group.queue] = true
          break
        end
        -- It is elsewhere by now.
        write_now('ZREM', root .. set, entry)
        entry = call('ZRANGE', root .. set, 0, 0)[1]
      end
      if at then api.note_opens(key, at, string.match(lane, '^[^|]*')) end
    end
  end

  -- Notes that the time has come to look at keys again, at most a hundred, and answers true where there were any. A prefix stands
  -- for the keys with lists that begin so, from where the last call has stopped.
  function api.due()
    local found = call('ZRANGEBYSCORE', root .. 'opens', '-inf', now, 'LIMIT', 0, KEYS_AT_ONCE)
    if #found > 0 then write_all('ZREM', root .. 'opens', found) end
    for _, key in ipairs(found) do
      local prefix, after = string.match(key, '^(.*)%*|?(.*)$')
      if find(key, '^[=;]') then
        woken['q' .. sub(key, 2)] = true
      elseif prefix then
        local from, to = after == '' and '[' .. prefix or '(' .. after, prefix == '' and '+' or '(' .. prefix .. '\255'
        local keys = call('ZRANGEBYLEX', root .. 'closing', from == '[' and '-' or from, to, 'LIMIT', 0, KEYS_AT_ONCE)
        for _, other in ipairs(keys) do
          again[other] = true
        end
        if #keys == KEYS_AT_ONCE then api.note_opens(prefix .. '*|' .. keys[#keys], 0) end
      else
        again[key] = true
      end
    end
    return #found > 0
  end

  -- Moves groups of a queue to the places that they have as it is fair now, or not, and answers where it has stopped or false.
  function api.rehang(queue, after)
    local found = call('ZRANGEBYLEX', root .. 'hung|' .. queue, after, '+', 'LIMIT', 0, 5 * KEYS_AT_ONCE)
    local names = {}
    for i, member in ipairs(found) do
      names[i] = queue .. '|' .. string.match(member, ' (.*)$')
    end
    -- Those without keys are not among these.
    for _, lane in ipairs(after == '-' and lanes_of(queue) or {}) do
      if find(lane, ';', 1, true) then names[#names + 1] = queue .. '|' .. lane .. '|' end
    end
    load_groups(names)
    for _, name in ipairs(names) do
      if known[name].seq then
        known[name].where = ''
        mark(known[name])
      end
    end
    return #found == 5 * KEYS_AT_ONCE and '(' .. found[#found]
  end

  -- Forgets turns of a fair queue that tell nothing: those of keys that have none to wait for and of which nothing waits.
  function api.forget_turns(queue, limit)
    local at = call('HGET', root .. 'turn_at', queue) or '0'
    local page = call('HSCAN', root .. 'turn|' .. queue, at, 'COUNT', limit)
    local latest, gone = turn_of(queue, '*'), {}
    for i = 1, #page[2], 2 do
      local keys, turn = page[2][i], tonumber(page[2][i + 1]) or 0
      if keys ~= '*' and keys ~= '' and turn <= latest and #siblings(queue, keys) == 0 then gone[#gone + 1] = keys end
    end
    write_all('HDEL', root .. 'turn|' .. queue, gone)
    write_now('HSET', root .. 'turn_at', queue, page[1])
  end

  -- The stored form of the slots and keys that the run of a token holds.
  function api.hold(slots, token, keys)
    return format(HOLD_FORMAT, slots, token, keys)
  end

  -- The slots and keys of what a run holds, and its token as text; nothing where it holds nothing. A release before this one has
  -- stored tokens with other zeros, or none. Most hold few slots, and to match a pattern costs more.
  local function read_hold(text)
    if not text then return nil end
    if string.byte(text, 2) == BAR and string.byte(text, 67) == BAR then return sub(text, 1, 1), sub(text, 68), sub(text, 3, 66) end
    local slots, token, keys = string.match(text, '^(%d+)|(%d+)|(.*)$')
    return slots, keys, token
  end
  api.read_hold = read_hold

  -- Those of a set of keys that have lists.
  function api.with_lists(set)
    local keys, found = {}, {}
    for key in pairs(set) do
      keys[#keys + 1] = key
    end
    for from = 1, #keys, ARGUMENTS do
      local to = min(from + ARGUMENTS - 1, #keys)
      for i, is_there in ipairs(call('ZMSCORE', root .. 'closing', unpack(keys, from, to))) do
        if is_there then found[#found + 1] = keys[from + i - 1] end
      end
    end
    return found
  end

  -- Gives back what ended runs hold, a set of ids, and answers those of which that is to be forgotten.
  local function free(ended)
    local ids = {}
    for id in pairs(ended) do
      ids[#ids + 1] = id
    end
    local held, gone = read_hash('holding', ids), {}
    local freed, slots_of = {}, {}
    for i = 1, #ids do
      local slots, keys = read_hold(held[i])
      if slots then
        gone[#gone + 1] = ids[i]
        slots_of[keys] = (slots_of[keys] or 0) + slots
        for _, key in ipairs(split(keys)) do
          freed[#freed + 1] = key
        end
      end
    end
    load_states(freed)
    for keys, slots in pairs(slots_of) do
      give_back(keys, slots)
    end
    return gone
  end

  -- Gives back what ended runs hold, so that a claim may take it before anything is written, and answers the ids of which that is to
  -- be forgotten; nothing where keys keep anything back, or what is held cannot be read: then all is to be written first.
  function api.free_early(ended)
    if call('EXISTS', root .. 'closing') == 1 then return nil end
    local is_done, gone = pcall(free, ended)
    return is_done and gone or nil
  end

  local function settle(ended)
    write_all('HDEL', root .. 'holding', free(ended))
    write_members_of_groups()
    write_groups()
    if next(again) and call('EXISTS', root .. 'closing') == 1 then
      local keys = api.with_lists(again)
      load_keys(keys)
      for _, key in ipairs(keys) do
        look_at_lists(key)
      end
      write_groups()
    end
    for key in pairs(again) do
      again[key] = nil
    end
    api.write_states()
  end

  -- Writes all that is noted, after the slots of ended runs are given back: a set of ids. The jobs are written by then, so that what
  -- cannot be read here (a key of a wrong type, which somebody else has put there) keeps nobody from an answer.
  function api.settle(ended)
    local is_done, fault = pcall(settle, ended)
    if not is_done then redis.log(redis.LOG_WARNING, 'longhaul: limit keys: ' .. tostring(fault)) end
  end

  return api
end
