-- Limit keys with their pauses, and batches: closing jobs that wait for their children.

ALTER TABLE jobs ADD COLUMN limit_key TEXT;
-- The closing job that counts this one, by its `seq`.
ALTER TABLE jobs ADD COLUMN batch INTEGER;
-- A closing job's children; null in all others.
ALTER TABLE jobs ADD COLUMN children_total INTEGER;
ALTER TABLE jobs ADD COLUMN children_completed INTEGER;
ALTER TABLE jobs ADD COLUMN children_failed INTEGER;
ALTER TABLE jobs ADD COLUMN children_cancelled INTEGER;

CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL;

-- Until when no job of a limit key is claimed.
CREATE TABLE pauses (
  limit_key TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) WITHOUT ROWID;
