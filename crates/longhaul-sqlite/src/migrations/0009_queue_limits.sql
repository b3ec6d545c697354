-- Slots and rates of queues. What is taken of them is in `limit_keys`, under '=' and the queue's name, which no limit key has;
-- the running jobs of such a queue have their slots in `held`, with limit keys or without.

-- A job that prefers some workers has its preference in `limit_key`, behind its keys and a semicolon, so that it waits in a group.
-- The group's row has the keys alone, and the preference behind its kind: its lane is one of its own.

-- 1 where the queue has slots or a rate; the limits themselves are in `config`.
ALTER TABLE queues ADD COLUMN limited INTEGER;
CREATE INDEX queues_limited ON queues (name) WHERE limited = 1;
