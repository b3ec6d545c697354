-- A file as the release of 25 November (schema version 3) left it, at 2026-01-01T00:00:01Z on its manual clock: dumped from a
-- file that its binary wrote, and kept as it was ever since.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN TRANSACTION;
CREATE TABLE compatibility (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- The oldest schema version that a binary must know.
  oldest INTEGER NOT NULL
);
INSERT INTO "compatibility" VALUES(1,2);
CREATE TABLE counts (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) WITHOUT ROWID;
INSERT INTO "counts" VALUES('images','available',1);
INSERT INTO "counts" VALUES('images','blocked',1);
INSERT INTO "counts" VALUES('images','completed',1);
INSERT INTO "counts" VALUES('images','failed',1);
INSERT INTO "counts" VALUES('images','running',2);
INSERT INTO "counts" VALUES('images','scheduled',2);
INSERT INTO "counts" VALUES('mail','available',0);
INSERT INTO "counts" VALUES('mail','completed',2);
INSERT INTO "counts" VALUES('mail','running',0);
CREATE TABLE events (
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) WITHOUT ROWID;
INSERT INTO "events" VALUES(1809639015424002,3,1767225601000,1,'{"progress":{"percent":40.0,"message":"page 2 of 5"}}');
CREATE TABLE idempotency_keys (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
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
, limit_key TEXT, batch INTEGER, children_total INTEGER, children_completed INTEGER, children_failed INTEGER, children_cancelled INTEGER);
INSERT INTO "jobs" VALUES(1809639014400000,'mail-1','resize',1,'mail','completed',0,1767225600000,1767225600000,1809639014400002,'w1',NULL,NULL,1,5,0,5,0,4,4,1767225600000,0,0,1767225600000,1767225600000,1767225600000,1767225600000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"bytes": 1.50}','{"width":640}',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639014400001,'mail-2','resize',1,'mail','completed',0,1767225600000,1767225600000,1809639014400003,'w1',NULL,NULL,1,5,0,5,0,4,4,1767225600000,0,0,1767225600000,1767225600000,1767225600000,1767225600000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"bytes": 1.50}','{"width":640}',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639014400004,'cached','resize',1,'images','completed',0,1767225600000,1767225600000,1809639014400007,'w1',NULL,NULL,1,5,0,5,0,4,4,1767225600000,0,0,1767225600000,1767225600000,1767225600000,1767229200000,NULL,'thumbnail:1',3600000,NULL,NULL,NULL,NULL,NULL,'{"bytes": 1.50}','{"width":640}',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639014400005,'fails','resize',1,'images','failed',0,1767225600000,1767225600000,1809639014400008,'w1',NULL,NULL,1,5,0,5,0,3,3,1767225600000,0,0,1767225600000,1767225600000,1767225600000,1767225600000,NULL,NULL,NULL,NULL,NULL,NULL,'[{"attempt":1,"at":1767225600000,"message":"no such image","kind":"fatal"}]',NULL,NULL,'{"width":640}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639014400006,'limited','resize',1,'images','scheduled',0,1767225630000,1767225630000,1809639014400009,'w1',NULL,NULL,0,5,0,5,0,3,3,1767225600000,0,0,1767225600000,1767225600000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"width":640}',X'0000000000000000000000000000','provider',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639015424000,'all','resize',1,'images','blocked',0,1767225601000,1767225601000,0,NULL,NULL,NULL,0,5,0,5,0,2,2,1767225601000,0,0,1767225601000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"width":640}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,1,0,0,0);
INSERT INTO "jobs" VALUES(1809639015424001,'child','resize',1,'images','running',0,1767225601000,1767225601000,1809639015424003,'w1',1767229201000,NULL,1,5,0,5,0,2,2,1767225601000,0,0,1767225601000,1767225601000,NULL,NULL,90000,NULL,NULL,'all','{"base":{"secs":7,"nanos":0},"factor":1.0,"max":{"secs":3600,"nanos":0},"jitter":0.0}','{"user":"ada"}',NULL,NULL,NULL,'{"width":640}',X'0000000000000000000000000000',NULL,1809639015424000,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639015424002,'runs','resize',1,'images','running',0,1767225601000,1767225601000,1809639015424004,'w1',1767229201000,NULL,1,5,0,5,0,3,2,1767225601000,3,1,1767225601000,1767225601000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"percent":40.0,"message":"page 2 of 5"}',NULL,'{"width":640}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639015424005,'waits','resize',1,'images','available',0,1767225601000,1767225601000,0,NULL,NULL,NULL,0,5,0,5,0,1,1,1767225601000,0,0,1767225601000,NULL,NULL,NULL,90000,NULL,NULL,NULL,'{"base":{"secs":7,"nanos":0},"factor":1.0,"max":{"secs":3600,"nanos":0},"jitter":0.0}',NULL,NULL,NULL,NULL,'{"width":640}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(1809639015424006,'later','resize',1,'images','scheduled',0,1767225661000,1767225661000,0,NULL,NULL,NULL,0,5,0,5,0,1,1,1767225601000,0,0,1767225601000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"width":640}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE pauses (
  limit_key TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "pauses" VALUES('provider',1767225630000);
CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  config TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "queues" VALUES('mail','{"retention":{"completed":{"age":{"secs":3600,"nanos":0},"count":1},"failed":{"age":{"secs":1209600,"nanos":0},"count":null},"cancelled":{"age":{"secs":86400,"nanos":0},"count":null}}}');
CREATE TABLE steps (
  job INTEGER NOT NULL,
  name TEXT NOT NULL,
  output TEXT NOT NULL,
  PRIMARY KEY (job, name)
) WITHOUT ROWID;
INSERT INTO "steps" VALUES(1809639015424002,'read','[1,2]');
CREATE TABLE tombstones (
  id TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE unique_keys (
  key TEXT PRIMARY KEY,
  job INTEGER NOT NULL,
  expires_at INTEGER
) WITHOUT ROWID;
INSERT INTO "unique_keys" VALUES('thumbnail:1',1809639014400004,1767229200000);
CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  info TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  -- 1: it lives in the process that holds the lock file, and is dead once another holds it.
  owned INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "workers" VALUES('w1','{"id":"w1","process":"another","host":"h1","queues":[{"queue":"images","slots":100}],"seen_at":0}',1767225601000,0);
CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
CREATE INDEX jobs_available ON jobs (queue, kind, version, rank) WHERE state = 'available';
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_stopping ON jobs (cancel_by) WHERE cancel_by IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (queue, state, kept_from) WHERE kept_from IS NOT NULL;
CREATE INDEX jobs_unsuccessful ON jobs (state) WHERE state IN ('failed', 'cancelled');
CREATE INDEX unique_keys_expiring ON unique_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);
CREATE INDEX tombstones_expiring ON tombstones (expires_at);
CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL;
COMMIT;
PRAGMA user_version = 3;
