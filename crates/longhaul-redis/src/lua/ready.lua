-- Writes nothing to a key, which a server refuses as it refuses any write: where it is full, cannot write its files, or is a
-- replica.
--
-- Returns  1

call('SETRANGE', root .. 'last', 0, '')
return 1
