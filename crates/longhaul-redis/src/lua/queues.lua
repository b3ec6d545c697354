-- Reads how many jobs of each queue are in which state, and the queues' configurations.
--
-- Returns  two lists of fields and values: 'queue|state' and a number; a queue and its configuration in JSON

return { call('HGETALL', root .. 'counts'), call('HGETALL', root .. 'queues') }
