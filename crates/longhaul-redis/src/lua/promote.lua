-- Makes scheduled jobs available whose time has come.
--
-- ARGV[2]  how many at most
-- Returns  the time, and when the next job falls due or -1

promote(tonumber(ARGV[2]))
done()
local first = call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
return { now, first[2] and tonumber(first[2]) or -1 }
