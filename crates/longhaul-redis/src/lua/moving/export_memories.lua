-- Reads what is remembered beside jobs, as long as it is.
--
-- ARGV[2]  'i' for idempotency keys, 'g' for removed jobs, 's' for samples
-- ARGV[3]  how many to pass over; ARGV[4] how many to look at
-- Returns  how many were looked at; and for each that is remembered the values that `import_memories` is given, without the letter

local which, from, to = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1
local answer = { 0 }

local function looked_at(set)
  local found = call('ZRANGE', root .. set, from, to)
  answer[1] = #found
  return found
end

if which == 'i' then
  for _, name in ipairs(looked_at('forget')) do
    local stored = sub(name, 1, 1) == 'i' and call('HGET', root .. 'promises', sub(name, 2))
    local is_ours, promise = pcall(cmsgpack.unpack, stored or '')
    if stored and is_ours and type(promise) == 'table' and (tonumber(promise[1]) or 0) > now then
      answer[#answer + 1] = { sub(name, 2), promise[1], promise[2], promise[3] }
    end
  end
elseif which == 'g' then
  for _, id in ipairs(looked_at('gone')) do
    local known_until = tonumber(call('ZSCORE', root .. 'gone', id))
    if known_until > now then answer[#answer + 1] = { id, known_until } end
  end
else
  for _, name in ipairs(looked_at('samples')) do
    local kept = call('HGET', root .. 'sample', name) or ''
    local ends_at, keep_for, begin = string.match(kept, '^(%d+)|(%d+)|()')
    if ends_at and tonumber(ends_at) > now then
      answer[#answer + 1] = { name, tonumber(ends_at), tonumber(keep_for), sub(kept, begin) }
    end
  end
end
return answer
