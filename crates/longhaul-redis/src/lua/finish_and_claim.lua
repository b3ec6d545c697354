-- Ends runs and claims, so that the claim sees what the ends set free. Where either fails, the caller does one after the
-- other.
--
-- ARGV[2]    the packed claim: see `claim`
-- ARGV[3..]  packed ends of runs: see `finish`
-- Returns    the answers about the ends, as `finish.lua` gives them, and the answer of `claim`

local statuses = finish_all(3, #ARGV)
return { statuses, claim(cmsgpack.unpack(ARGV[2])) }
