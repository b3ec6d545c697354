-- Keeps samples, each in the place of an earlier one of its name.
--
-- ARGV[2..]  for each its name, how long it is kept, and its body
-- Returns    1

for i = 2, #ARGV, 3 do
  local name, ends_at = ARGV[i], digits(min(now + tonumber(ARGV[i + 1]), END_OF_TIME))
  write_now('HSET', root .. 'sample', name, ends_at .. '|' .. ARGV[i + 1] .. '|' .. ARGV[i + 2])
  write_now('ZADD', root .. 'samples', 0, name)
  write_now('ZADD', root .. 'samples_end', ends_at, name)
end
return 1
