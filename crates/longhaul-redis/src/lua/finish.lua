-- Ends runs: outcome, log, follow-up jobs and keys of each in one, if its lease is current.
--
-- ARGV[2..]  packed ends of runs: see `finish`
-- Returns    a status for each: 0 held, 1 held and asked to stop, 2 lost

local statuses = finish_all(2, #ARGV)
done()
return statuses
