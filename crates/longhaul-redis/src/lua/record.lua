-- Adds entries to running jobs, each run's only if its lease is current.
--
-- ARGV[2..]  packed: {id, token, entries}
-- Returns    a status for each: 0 held, 1 held and asked to stop, 2 lost

local records, ids, statuses = {}, {}, {}
for i = 2, #ARGV do
  records[i - 1] = cmsgpack.unpack(ARGV[i])
  ids[i - 1] = records[i - 1][1]
end
read_jobs(ids)
for i, record in ipairs(records) do
  local id, token, entries = unpack(record)
  local job = leased(id, token)
  if job then
    add_entries(id, job, entries)
    mark_changed(id)
  end
  statuses[i] = job and lease_status(job) or LOST
end
done()
bound_logs()
return statuses
