-- Reads samples in the order of their names, but for those whose time is over.
--
-- ARGV[2], ARGV[3]  the bounds of the names, as ZRANGEBYLEX is told them
-- ARGV[4]           how many to look at
-- Returns           the name of the last one that was looked at where there may be more, or false; and for each its name, how
--                   long it is kept, and its body

-- The bytes after which a call answers: a body is up to 512 KiB.
local MOST_BYTES = 4194304

local names = call('ZRANGEBYLEX', root .. 'samples', ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local answer, bytes, n = { #names == tonumber(ARGV[4]) and names[#names] }, 0, 1
for i, name in ipairs(names) do
  local kept = call('HGET', root .. 'sample', name) or ''
  local ends_at, keep_for, from = string.match(kept, '^(%d+)|(%d+)|()')
  if ends_at and tonumber(ends_at) > now then
    answer[n + 1], answer[n + 2], answer[n + 3] = name, tonumber(keep_for), sub(kept, from)
    n, bytes = n + 3, bytes + #kept
  end
  if bytes >= MOST_BYTES and i < #names then
    answer[1] = name
    break
  end
end
return answer
