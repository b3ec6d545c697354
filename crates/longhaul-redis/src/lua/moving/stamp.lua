-- Tells one moment of the store from another: any job that comes, goes, or changes its state makes another stamp.
--
-- Returns  the stamp

local stamp = { call('GET', root .. 'last') or '' }
local counts = call('HGETALL', root .. 'counts')
for i = 1, #counts, 2 do
  stamp[#stamp + 1] = counts[i] .. '=' .. counts[i + 1]
end
table.sort(stamp)
return table.concat(stamp, ' ')
