-- Has dependants count ends that stand in `settling`: a part of them at a time.
--
-- ARGV[2]  '1' where the caller wants to be told of changes
-- Returns  1 where there is more to do, and the changes of state or false

if ARGV[2] == '1' then note_changes() end
keyed.dependants().work_off(count_ended)
done()
return { call('EXISTS', root .. 'settling'), told }
