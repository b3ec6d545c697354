-- Makes scheduled jobs available whose time has come.
--
-- ARGV[2]  how many at most
-- ARGV[3]  '1' where the caller wants to be told of changes
-- Returns  the time, when the next job falls due or -1, and the changes of state or false

if ARGV[3] == '1' then note_changes() end
promote(tonumber(ARGV[2]))
done()
local first = call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
return { now, first[2] and tonumber(first[2]) or -1, told }
