-- Takes claims back whose caller went away before they were answered.
--
-- ARGV[2]    the rest of the error of a job that was asked to stop meanwhile, in JSON
-- ARGV[3..]  ids and tokens
-- Returns    how many there were, and the changes of state

note_changes()
local undone = 0
for i = 3, #ARGV, 2 do
  local job = leased(ARGV[i], tonumber(ARGV[i + 1]))
  if job then
    take_back(ARGV[i], job, ARGV[2])
    undone = undone + 1
  end
end
done()
return { undone, told }
