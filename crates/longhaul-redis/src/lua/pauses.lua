-- Reads which limit keys are paused.
--
-- ARGV[2]  how many at most
-- Returns  keys and the ends of their pauses in turn, by these

return call('ZRANGEBYSCORE', root .. 'paused', '(' .. digits(now), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
