-- Answers the heartbeat of a worker without leases. It stands before the functions of the script, which take the server longer
-- to make.
--
-- ARGV[2..]  see `heartbeat.lua`

if #ARGV == 4 then
  write_now('ZADD', root .. 'workers', format('%d', now), ARGV[2])
  write_now('HSET', root .. 'worker', ARGV[2], ARGV[3])
  return {}
end
