-- Modes of unique keys, ends of jobs by time, reasons of cancels, and bounds of what waits. What few jobs have of it, and no
-- index needs, stands in the JSON of `policy`, which is read leniently: see `beside.rs`.

-- When a sweep looks at the job because its time may be over: when it expires, before its first start, or its deadline, whichever
-- is earlier. A process of an earlier release that shares the file leaves it as it is: whoever finds the job by it looks again.
ALTER TABLE jobs ADD COLUMN ends_at INTEGER;
CREATE INDEX jobs_ending ON jobs (ends_at) WHERE ends_at IS NOT NULL;
-- Why the job was cancelled; of one that runs, why it was asked to stop.
ALTER TABLE jobs ADD COLUMN cancel_reason TEXT;

-- How many jobs of the queue, or of the limit key, may wait; null is no bound. The whole bound is in `config`.
ALTER TABLE queues ADD COLUMN max_waiting INTEGER;
CREATE INDEX queues_bounded ON queues (name) WHERE max_waiting IS NOT NULL;
ALTER TABLE key_configs ADD COLUMN max_waiting INTEGER;
CREATE INDEX key_configs_bounded ON key_configs (key) WHERE max_waiting IS NOT NULL;

-- The jobs that wait in a queue which drops its oldest ('q' and its name), or of a limit key that has a bound ('k' and its
-- name), by age; and how many they are of each.
CREATE TABLE bounded_jobs (
  bound TEXT NOT NULL,
  job INTEGER NOT NULL,
  PRIMARY KEY (bound, job)
) WITHOUT ROWID;
CREATE TABLE bounded_counts (
  bound TEXT PRIMARY KEY,
  n INTEGER NOT NULL
) WITHOUT ROWID;
