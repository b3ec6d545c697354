-- Lists the workers heard of lately.
--
-- ARGV[2]  how long ago that may be, in milliseconds
-- Returns  for each what it says of itself in JSON, and when it was heard of

local found = call('ZRANGEBYSCORE', root .. 'workers', '(' .. digits(now - tonumber(ARGV[2])), '+inf', 'WITHSCORES')
local answer = {}
for i = 1, #found, 2 do
  local info = call('HGET', root .. 'worker', found[i])
  if info then
    answer[#answer + 1] = info
    answer[#answer + 1] = tonumber(found[i + 1])
  end
end
return answer
