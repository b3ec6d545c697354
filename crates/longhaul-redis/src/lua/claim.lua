-- Gives jobs to a worker under a lease. Due scheduled jobs are promoted first.
--
-- ARGV[2]  what is wanted: see `claim`
-- Returns  see `claim`

return claim(ARGV[2])
