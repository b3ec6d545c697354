-- Queues whose jobs no claim is given. In a table of its own, which is empty nearly always: each claim asks it.
CREATE TABLE paused_queues (
  queue TEXT COLLATE "C" PRIMARY KEY
);

-- The order in which steps were recorded, and by which attempt and when; null where the release before has written the step.
-- An empty output is none: it is kept until the job completes.
ALTER TABLE steps
  ADD COLUMN seq BIGINT,
  ADD COLUMN attempt BIGINT,
  ADD COLUMN finished_at BIGINT,
  ADD COLUMN took BIGINT;
-- A column that is added with this default would have all of the table written anew.
ALTER TABLE steps ALTER COLUMN seq SET DEFAULT nextval('numbers');

-- Small time series: what a process notes about a moment.
CREATE TABLE samples (
  series TEXT COLLATE "C" NOT NULL,
  at BIGINT NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (series, at, source)
);
CREATE INDEX samples_expiring ON samples (expires_at);
