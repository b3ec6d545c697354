-- Adds entries to running jobs, each run's only if its lease is current.
--
-- ARGV[2..]  packed: {id, token, entries}
-- Returns    a status for each: 0 held, 1 the same and asked to stop, 2 lost

local statuses = {}
for i = 2, #ARGV do
  local id, token, entries = unpack(cmsgpack.unpack(ARGV[i]))
  local job = leased(id, token)
  if job then
    add_entries(id, job, entries)
    touch(id)
  end
  statuses[i - 1] = job and lease_status(job) or LOST
end
done()
return statuses
