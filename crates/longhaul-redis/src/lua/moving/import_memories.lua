-- Remembers what another store remembers beside jobs, unless it is known.
--
-- ARGV[2..]  packed lists: 'i', an idempotency key, its end, the request's digest and the id; 'g', the id of a removed job and until
--            when it is remembered; or 's', the name of a sample, its end, how long it was to be kept, and its body
-- Returns    for each 1 where it was not known, else 0

local function import_idempotency_key(key, expires_at, fingerprint, id)
  local stored = call('HGET', root .. 'promises', key)
  local is_ours, promise = pcall(cmsgpack.unpack, stored or '')
  local known = stored and is_ours and type(promise) == 'table' and tonumber(promise[1])
  if known and known > now or expires_at <= now then return 0 end
  write('HSET', root .. 'promises', key, cmsgpack.pack({ expires_at, fingerprint, id }))
  write('ZADD', root .. 'forget', digits(expires_at), 'i' .. key)
  return 1
end

local function import_removal(id, known_until)
  local known = call('ZSCORE', root .. 'gone', id)
  if known_until <= now or known and tonumber(known) > now or call('EXISTS', root .. 'm:' .. id) == 1 then return 0 end
  write('ZADD', root .. 'gone', digits(known_until), id)
  return 1
end

local function import_sample(name, ends_at, keep_for, body)
  local known = tonumber(string.match(call('HGET', root .. 'sample', name) or '', '^(%d+)|'))
  if known and known > now or ends_at <= now then return 0 end
  write('HSET', root .. 'sample', name, digits(ends_at) .. '|' .. digits(keep_for) .. '|' .. body)
  write('ZADD', root .. 'samples', 0, name)
  write('ZADD', root .. 'samples_end', digits(ends_at), name)
  return 1
end

local imports = { i = import_idempotency_key, g = import_removal, s = import_sample }
local answers = {}
for i = 2, #ARGV do
  local kept = cmsgpack.unpack(ARGV[i])
  answers[i - 1] = imports[kept[1]](kept[2], kept[3], kept[4], kept[5])
  -- The next one may be of the same name.
  flush()
end
done()
return answers
