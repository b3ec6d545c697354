-- Pauses of queues, times of steps, time series, and searches for failures.

-- Queues of which no claim is given jobs. A process of an earlier release that shares the file does not look here.
CREATE TABLE paused_queues (
  queue TEXT PRIMARY KEY
) WITHOUT ROWID;

-- The attempt that did a step, when it was recorded, the milliseconds that it took, and its place among the job's steps. All
-- null where an older release has recorded it. An empty output is none: that of a step of a completed job.
ALTER TABLE steps ADD COLUMN attempt INTEGER;
ALTER TABLE steps ADD COLUMN finished_at INTEGER;
ALTER TABLE steps ADD COLUMN took INTEGER;
ALTER TABLE steps ADD COLUMN place INTEGER;

CREATE TABLE samples (
  series TEXT NOT NULL,
  at INTEGER NOT NULL,
  source TEXT NOT NULL,
  keep_for INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (series, at, source)
);
CREATE INDEX samples_expiring ON samples (expires_at);

-- Lists of jobs by their errors, which are few among many that had none.
CREATE INDEX jobs_with_errors ON jobs (seq) WHERE errors IS NOT NULL;
