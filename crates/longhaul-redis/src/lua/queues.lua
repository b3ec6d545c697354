-- Reads how many jobs of each queue are in which state, the queues' configurations, and which are paused.
--
-- Returns  two lists of fields and values: 'queue|state' and a number; a queue and its configuration in JSON; and a list of the paused queues

return { call('HGETALL', root .. 'counts'), call('HGETALL', root .. 'queues'), call('SMEMBERS', root .. 'paused_queues') }
