-- What blocked jobs wait for beside the children of a closing job: other jobs, children of a run, signals, persons.

-- A blocked job without a row here waits for its children. A process of an earlier release that shares the file leaves rows of
-- jobs that are not blocked any more: they mean nothing.
CREATE TABLE waits (
  job INTEGER PRIMARY KEY,
  -- `dependencies`, `children`, `signal:NAME` or `person`.
  waits_for TEXT NOT NULL,
  -- When the wait ends by itself; null is never.
  wakes_at INTEGER,
  -- How many of the jobs that it depends on have not ended.
  dependencies_left INTEGER
);
CREATE INDEX waits_ending ON waits (wakes_at) WHERE wakes_at IS NOT NULL;

-- Which jobs depend on which.
CREATE TABLE dependencies (
  job INTEGER NOT NULL,
  dependant INTEGER NOT NULL,
  on_failure TEXT NOT NULL,
  -- 1 once the end of the job was counted by the dependant: each counts once.
  settled INTEGER NOT NULL,
  PRIMARY KEY (job, dependant)
) WITHOUT ROWID;
CREATE INDEX dependencies_of ON dependencies (dependant);
CREATE INDEX dependencies_awaited ON dependencies (job, dependant) WHERE settled = 0;

-- Jobs that have ended with so many dependants that some have not counted it yet.
CREATE TABLE ended_dependencies (
  job INTEGER PRIMARY KEY,
  outcome TEXT NOT NULL
);
