-- Ends runs and claims, so that the claim sees what the ends set free. The ends stand where the claim fails.
--
-- ARGV[2]    the packed claim: see `claim`
-- ARGV[3..]  packed ends of runs: see `finish`
-- Returns    the statuses of the ends, and the answer of `claim` or the text of its error

local statuses = finish_all(3, #ARGV)
local is_done, answer = pcall(claim, ARGV[2])
if not is_done and is_watched then pcall(publish) end
return { statuses, is_done and answer or tostring(type(answer) == 'table' and answer.err or answer) }
