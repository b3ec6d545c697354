-- The engine's tables. Times are milliseconds since 1970 on this store's clock, durations are milliseconds.

CREATE TABLE jobs (
  -- Rises with every job and every claim (see `sequence.rs`), so it orders jobs by age.
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  -- The order of claims: `run_at` less the head start that the priority gives.
  rank INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  -- The last claim's number, drawn from the sequence of `seq`: no two claims of anything ever share one.
  token INTEGER NOT NULL DEFAULT 0,
  worker TEXT,
  lease_until INTEGER,
  -- Set while a running job is asked to stop: it is fenced off then.
  cancel_by INTEGER,
  attempt INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL,
  crashes INTEGER NOT NULL DEFAULT 0,
  max_crashes INTEGER NOT NULL,
  interruptions INTEGER NOT NULL DEFAULT 0,
  -- The number of the newest event; that of the event which the present state is, with its time; and that of the
  -- newest row in `events` that no `reset` has followed (0: none).
  last_event INTEGER NOT NULL DEFAULT 1,
  state_event INTEGER NOT NULL DEFAULT 1,
  state_at INTEGER NOT NULL,
  log_event INTEGER NOT NULL DEFAULT 0,
  steps INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  -- Retention counts from here: `finished_at`, or the end of the period for which the unique key is held on.
  kept_from INTEGER,
  timeout INTEGER,
  unique_key TEXT,
  unique_period INTEGER,
  parent TEXT,
  backoff TEXT,
  labels TEXT,
  errors TEXT,
  progress TEXT,
  output TEXT,
  args TEXT NOT NULL,
  -- Empty bytes that give way to what a claim and a completion write. Jobs are inserted one after the other into
  -- full pages: without room, every claim would make its page overflow and be split.
  room BLOB
);

CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
-- Each index holds the rows of one state only, so that what a claim costs does not grow with the history.
CREATE INDEX jobs_available ON jobs (queue, kind, version, rank) WHERE state = 'available';
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_stopping ON jobs (cancel_by) WHERE cancel_by IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (queue, state, kept_from) WHERE kept_from IS NOT NULL;
-- Lists of failed and cancelled jobs, which are few among many completed ones.
CREATE INDEX jobs_unsuccessful ON jobs (state) WHERE state IN ('failed', 'cancelled');

CREATE TABLE events (
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE steps (
  job INTEGER NOT NULL,
  name TEXT NOT NULL,
  output TEXT NOT NULL,
  PRIMARY KEY (job, name)
) WITHOUT ROWID;

-- Who holds which key; `expires_at` is null while the holder is unfinished.
CREATE TABLE unique_keys (
  key TEXT PRIMARY KEY,
  job INTEGER NOT NULL,
  expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX unique_keys_expiring ON unique_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE idempotency_keys (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);

-- Jobs that were pruned or deleted a short while ago.
CREATE TABLE tombstones (
  id TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tombstones_expiring ON tombstones (expires_at);

CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  config TEXT NOT NULL
) WITHOUT ROWID;

-- Kept in step with `jobs` by every transaction that changes a state.
CREATE TABLE counts (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) WITHOUT ROWID;

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  info TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  -- 1: it lives in the process that holds the lock file, and is dead once another holds it.
  owned INTEGER NOT NULL
) WITHOUT ROWID;
