-- Resumes a queue, and wakes the claims that wait for its jobs.
--
-- ARGV[2]  the queue
-- Returns  1 where it was paused

local was_paused = call('SREM', root .. 'paused_queues', ARGV[2])
if was_paused == 1 and is_watched then topics['q' .. ARGV[2]] = true end
done()
return was_paused
