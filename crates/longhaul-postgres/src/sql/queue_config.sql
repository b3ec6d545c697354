-- A queue's configuration, held for this transaction.
-- in: name    out: config    index: the primary key
SELECT config FROM queues WHERE name = $1 FOR UPDATE
