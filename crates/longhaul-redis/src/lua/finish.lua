-- Ends runs: outcome, log, follow-up jobs and keys of each in one, if its lease is current.
--
-- ARGV[2..]  packed ends of runs: see `finish`
-- Returns    for each the answer of `ended_as` where it ends here, with the changes of state where these are wanted, or else
--            its status: 0 held, 2 lost

local statuses = finish_all(2, #ARGV)
done()
return statuses
