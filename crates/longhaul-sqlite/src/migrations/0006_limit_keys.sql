-- Limits of limit keys, and the groups in which their jobs wait.

-- The slots of its limit keys that a job's run takes; null where it takes none. A process of an earlier release that shares the
-- file leaves the number where it ends the run: the index below finds it.
ALTER TABLE jobs ADD COLUMN held INTEGER;
CREATE INDEX jobs_held_on ON jobs (seq) WHERE held IS NOT NULL AND state <> 'running';
CREATE INDEX jobs_of_group ON jobs (limit_key, queue, kind, version, rank)
WHERE limit_key IS NOT NULL AND state = 'available';

-- The available jobs of one queue, kind, version and text of limit keys. Their ranks in `jobs` are beyond those of all jobs
-- without keys: see `limit_key.rs`.
CREATE TABLE key_groups (
  id INTEGER PRIMARY KEY,
  limit_key TEXT NOT NULL,
  -- 1 where that is several keys, 0 where it is one.
  several INTEGER NOT NULL,
  queue TEXT NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  -- The place of its first job: in a fair queue the turn and the keys go before the rank; in others they are 0 and ''.
  turn INTEGER NOT NULL,
  tie TEXT NOT NULL,
  rank INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  -- What its first job costs.
  slots INTEGER NOT NULL,
  units INTEGER NOT NULL,
  -- The limit key by which a claim found it kept back.
  closed_by TEXT
);
CREATE UNIQUE INDEX key_groups_by_keys ON key_groups (several, limit_key, queue, kind, version);
CREATE INDEX key_groups_open ON key_groups (queue, kind, version, turn, tie, rank, seq) WHERE closed_by IS NULL;
CREATE INDEX key_groups_closed ON key_groups (closed_by, slots, units, queue, kind, version, turn, tie, rank, seq)
WHERE closed_by IS NOT NULL;

-- The groups of several limit keys, by each of these.
CREATE TABLE group_keys (
  key TEXT NOT NULL,
  key_group INTEGER NOT NULL,
  PRIMARY KEY (key, key_group)
) WITHOUT ROWID;

-- What is taken of each limit key; a key of which nothing is has no row. Its pause is in `pauses`.
CREATE TABLE limit_keys (
  key TEXT PRIMARY KEY,
  used INTEGER NOT NULL,
  -- In microseconds: when all units of the rate are free; and the rate by which that was counted.
  rate_free_at INTEGER NOT NULL,
  rate TEXT,
  -- When time alone may let a group go that the key keeps back.
  opens_at INTEGER,
  -- Of a prefix whose limits have changed: the last key of it that was looked at.
  looked_up_to TEXT
) WITHOUT ROWID;
CREATE INDEX limit_keys_opening ON limit_keys (opens_at) WHERE opens_at IS NOT NULL;
CREATE INDEX limit_keys_at_rest ON limit_keys (rate_free_at) WHERE used = 0 AND opens_at IS NULL;

-- Limits that were set for a key, or for a prefix: its name ends in `*`, and `prefix` has the rest.
CREATE TABLE key_configs (
  key TEXT PRIMARY KEY,
  prefix TEXT,
  config TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX key_configs_by_prefix ON key_configs (prefix) WHERE prefix IS NOT NULL;

-- The queues that are fair: the latest turn that was taken in each, and the next of its jobs without keys.
CREATE TABLE fair_queues (
  queue TEXT PRIMARY KEY,
  turn INTEGER NOT NULL,
  plain_turn INTEGER NOT NULL
) WITHOUT ROWID;
-- The next turn of limit keys of which no job waits, where it is later than the queue's.
CREATE TABLE fair_turns (
  queue TEXT NOT NULL,
  limit_key TEXT NOT NULL,
  turn INTEGER NOT NULL,
  PRIMARY KEY (queue, limit_key)
) WITHOUT ROWID;

-- What runs while the file is migrated. Jobs that wait find their groups when a claim meets them.
UPDATE jobs SET held = 1 WHERE state = 'running' AND limit_key IS NOT NULL;
INSERT INTO limit_keys (key, used, rate_free_at)
SELECT limit_key, count(*), 0 FROM jobs WHERE state = 'running' AND limit_key IS NOT NULL GROUP BY limit_key;
