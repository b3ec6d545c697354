-- Notes that a worker lives, and extends its leases.
--
-- ARGV[2], ARGV[3], ARGV[4]  the worker's id, its WorkerInfo in JSON, and how long the leases are
-- ARGV[5..]                  ids and tokens
-- Returns                    a status for each lease: 0 held, 1 held and asked to stop, 2 lost

local lease_until = now + tonumber(ARGV[4])
add_member(root .. 'workers', now, ARGV[2])
write('HSET', root .. 'worker', ARGV[2], ARGV[3])

local ids, statuses = {}, {}
for i = 5, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
read_jobs(ids)
for i, id in ipairs(ids) do
  local job = leased(id, tonumber(ARGV[2 * i + 4]))
  if job then
    job[LEASE_UNTIL] = lease_until
    add_member(running_key, lease_until, member_of(id, job))
    -- Nothing that a reader could see has changed.
    changed[id] = true
  end
  statuses[i] = job and lease_status(job) or LOST
end
done()
return statuses
