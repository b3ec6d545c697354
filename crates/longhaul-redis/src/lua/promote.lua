-- Makes scheduled jobs available whose time has come, and blocked ones whose wait is over, and looks at the limit keys that time opens.
--
-- ARGV[2]  how many at most
-- ARGV[3]  '1' where the caller wants to be told of changes
-- Returns  the time, when the next job falls due or a key opens or -1, and the changes of state or false

if ARGV[3] == '1' then note_changes() end
promote(tonumber(ARGV[2]))
promote(tonumber(ARGV[2]), root .. 'waking', BLOCKED)
if call('EXISTS', root .. 'opens') == 1 then groups().due() end
done()
return { now, next_change(), told }
