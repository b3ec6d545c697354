-- Gives jobs to a worker under a lease. Due scheduled jobs are promoted first.
--
-- ARGV[2]  the packed claim: see `claim`
-- Returns  the answer of `claim`

return claim(wanted)
