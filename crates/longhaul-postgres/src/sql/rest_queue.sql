-- Sets the rate of a queue at rest.
-- in: queue    index: the primary key
DELETE FROM limit_keys WHERE key = '=' || $1
