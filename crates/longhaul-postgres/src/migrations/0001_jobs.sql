-- The engine's tables. Times are milliseconds since 1970 on the server's clock, durations are milliseconds.

-- Jobs' `seq` and leases' tokens: they rise for ever, and no two are ever the same.
CREATE SEQUENCE numbers;

CREATE TABLE jobs (
  seq BIGINT PRIMARY KEY,
  token BIGINT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL,
  priority BIGINT NOT NULL,
  -- The order of claims: `run_at` less the head start that the priority gives.
  rank BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  lease_until BIGINT,
  -- Set while a running job is asked to stop: it is fenced off then.
  cancel_by BIGINT,
  attempt BIGINT NOT NULL DEFAULT 0,
  max_attempts BIGINT NOT NULL,
  crashes BIGINT NOT NULL DEFAULT 0,
  max_crashes BIGINT NOT NULL,
  interruptions BIGINT NOT NULL DEFAULT 0,
  -- The number of the newest event; that of the event which the present state is, with its time; and that of the
  -- newest row in `events` that no `reset` has followed (0: none).
  last_event BIGINT NOT NULL DEFAULT 1,
  state_event BIGINT NOT NULL DEFAULT 1,
  state_at BIGINT NOT NULL,
  log_event BIGINT NOT NULL DEFAULT 0,
  steps BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  -- Retention counts from here: `finished_at`, or the end of the period for which the unique key is held on.
  kept_from BIGINT,
  timeout BIGINT,
  unique_period BIGINT,
  -- The closing job that counts this one, by its `seq`.
  batch BIGINT,
  -- A closing job's children; null in all others.
  children_total BIGINT,
  children_completed BIGINT,
  children_failed BIGINT,
  children_cancelled BIGINT,
  id TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  worker TEXT,
  unique_key TEXT COLLATE "C",
  limit_key TEXT COLLATE "C",
  parent TEXT COLLATE "C",
  -- JSON is kept as the text that it came as.
  backoff TEXT,
  labels TEXT,
  errors TEXT,
  -- The message of the last of `errors`, to be searched.
  last_error TEXT,
  progress TEXT,
  output TEXT,
  args TEXT NOT NULL
) WITH (
  -- Every job is written three times: room for that keeps its versions on one page. The vacuum comes early, or claims
  -- would step over the dead entries of what was claimed before.
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);

CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
-- Each index holds the rows of one state only, so that what a claim costs does not grow with the history.
CREATE INDEX jobs_available ON jobs (queue, kind, version, rank, seq) WHERE state = 'available';
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_stopping ON jobs (cancel_by) WHERE cancel_by IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (queue, state, kept_from, seq) WHERE kept_from IS NOT NULL;
-- Lists of failed and cancelled jobs, which are few among many completed ones.
CREATE INDEX jobs_unsuccessful ON jobs (state, seq) WHERE state IN ('failed', 'cancelled');
CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL;

CREATE TABLE events (
  job BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, seq)
);

CREATE TABLE steps (
  job BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  output TEXT NOT NULL,
  PRIMARY KEY (job, name)
);

-- Who holds which key; `expires_at` is null while the holder is unfinished.
CREATE TABLE unique_keys (
  key TEXT COLLATE "C" PRIMARY KEY,
  job BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE INDEX unique_keys_expiring ON unique_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE idempotency_keys (
  key TEXT COLLATE "C" PRIMARY KEY,
  job_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);

-- Jobs that were pruned or deleted a short while ago.
CREATE TABLE tombstones (
  id TEXT COLLATE "C" PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX tombstones_expiring ON tombstones (expires_at);

-- Until when no job of a limit key is claimed.
CREATE TABLE pauses (
  limit_key TEXT COLLATE "C" PRIMARY KEY,
  until BIGINT NOT NULL
);

CREATE TABLE queues (
  name TEXT COLLATE "C" PRIMARY KEY,
  config TEXT NOT NULL
);

-- How many jobs of a queue are in a state: the sum of both tables. Transactions only add to the second, so that none
-- waits for another; a sweep folds it into the first.
CREATE TABLE counts (
  queue TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (queue, state)
);
CREATE TABLE count_deltas (
  queue TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  n BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE workers (
  id TEXT COLLATE "C" PRIMARY KEY,
  info TEXT NOT NULL,
  seen_at BIGINT NOT NULL
);
