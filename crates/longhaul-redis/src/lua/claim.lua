-- Gives jobs to a worker under a lease. Due scheduled jobs are promoted first.
--
-- ARGV[2]  what is wanted: see `claim`
-- Returns  the time, when the next job falls due or -1, and for each job its id, fields, data and steps

return claim(ARGV[2])
