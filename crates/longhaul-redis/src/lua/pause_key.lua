-- Pauses a limit key, where it is not paused for longer. Nothing else is changed: claims keep back what they meet.
--
-- ARGV[2], ARGV[3]  the key, and for how many milliseconds
-- Returns           until when

local before = tonumber(call('ZSCORE', root .. 'paused', ARGV[2]) or 0)
local until_text = format('%d', max(min(now + tonumber(ARGV[3]), END_OF_TIME), before))
write_now('ZADD', root .. 'paused', until_text, ARGV[2])
return until_text
