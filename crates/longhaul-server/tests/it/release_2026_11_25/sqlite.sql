PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO jobs VALUES(1838976957467648,'completed','k',1,'old','completed',0,1795875935027,1795875935027,1838976957486081,'w1',NULL,NULL,1,3,0,5,0,4,4,1795875935047,0,0,1795875935027,1795875935045,1795875935047,1795875935047,60000,NULL,NULL,NULL,NULL,'{"tenant":"ada"}',NULL,NULL,'{"sent": true}','{"n": 1}',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957479936,'failed','k',1,'old','failed',0,1795875935039,1795875935039,1838976957486082,'w1',NULL,NULL,1,3,0,5,0,3,3,1795875935047,0,0,1795875935039,1795875935045,1795875935047,1795875935047,NULL,NULL,NULL,NULL,NULL,NULL,'[{"attempt":1,"at":1795875935047,"message":"no such image","kind":"fatal"}]',NULL,NULL,'{"n": 1}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957483008,'retries','k',1,'old','scheduled',0,2095875935047,2095875935047,1838976957486083,'w1',NULL,NULL,1,3,0,5,0,3,3,1795875935047,0,0,1795875935042,1795875935045,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[{"attempt":1,"at":1795875935047,"message":"no stamps","kind":"error"}]',NULL,NULL,'{"n": 1}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957484032,'running','k',1,'old','running',0,1795875935043,1795875935043,1838976957486084,'w1',1795879535045,NULL,1,3,0,5,0,5,2,1795875935045,5,1,1795875935043,1795875935045,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"percent":40.0,"message":"page 4"}',NULL,'{"n": 1}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957485056,'cached','k',1,'old','completed',0,1795875935044,1795875935044,1838976957486085,'w1',NULL,NULL,1,3,0,5,0,4,4,1795875935047,0,0,1795875935044,1795875935045,1795875935047,1798467935047,NULL,'k:once',2592000000,NULL,NULL,NULL,NULL,NULL,'7','{"n": 1}',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957486080,'snoozed','k',1,'old','scheduled',0,1795875935048,1795875935048,1838976957486086,'w1',NULL,NULL,0,3,0,5,0,3,3,1795875935047,0,0,1795875935045,1795875935045,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'0000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957489152,'waiting','k',1,'old','available',5,1795875635048,1795875935048,0,NULL,NULL,NULL,0,7,0,5,0,1,1,1795875935048,0,0,1795875935048,NULL,NULL,NULL,90000,NULL,NULL,NULL,NULL,'{"tenant":"bob"}',NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000','provider',NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957490176,'delayed','k',1,'old','scheduled',0,2095875935049,2095875935049,0,NULL,NULL,NULL,0,3,0,5,0,1,1,1795875935049,0,0,1795875935049,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957491200,'cancelled','k',1,'old','cancelled',0,1795875935050,1795875935050,0,NULL,NULL,NULL,0,3,0,5,0,2,2,1795875935052,0,0,1795875935050,NULL,1795875935052,1795875935052,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957491201,'promised','k',1,'old','available',0,1795875935050,1795875935050,0,NULL,NULL,NULL,0,3,0,5,0,1,1,1795875935050,0,0,1795875935050,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957492224,'unique','k',1,'old','available',0,1795875935051,1795875935051,0,NULL,NULL,NULL,0,3,0,5,0,1,1,1795875935051,0,0,1795875935051,NULL,NULL,NULL,NULL,'k:held',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO jobs VALUES(1838976957492225,'versioned','v',1,'old','available',0,1795875935051,1795875935051,0,NULL,NULL,NULL,0,3,0,5,0,1,1,1795875935051,0,0,1795875935051,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"n": 1}',X'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE events (
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) WITHOUT ROWID;
INSERT INTO events VALUES(1838976957484032,3,1795875935046,1,'{"progress":{"percent":40.0,"message":"page 4"}}');
INSERT INTO events VALUES(1838976957484032,4,1795875935046,1,'{"log":{"level":"info","message":"a line"}}');
INSERT INTO events VALUES(1838976957484032,5,1795875935046,1,'{"chunk":{"data":"half"}}');
CREATE TABLE steps (
  job INTEGER NOT NULL,
  name TEXT NOT NULL,
  output TEXT NOT NULL,
  PRIMARY KEY (job, name)
) WITHOUT ROWID;
INSERT INTO steps VALUES(1838976957484032,'ocr','{"text": "x"}');
CREATE TABLE unique_keys (
  key TEXT PRIMARY KEY,
  job INTEGER NOT NULL,
  expires_at INTEGER
) WITHOUT ROWID;
INSERT INTO unique_keys VALUES('k:held',1838976957492224,NULL);
INSERT INTO unique_keys VALUES('k:once',1838976957485056,1798467935047);
CREATE TABLE idempotency_keys (
  key TEXT PRIMARY KEY,
  job_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO idempotency_keys VALUES(replace('open\ni-1','\n',char(10)),'promised','32d7de454a0df4c1461d06f9adfae3d19c562df7989d651d1e6e4551228debd4',1795962335050);
CREATE TABLE tombstones (
  id TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO tombstones VALUES('gone',1795962335054);
CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  config TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO queues VALUES('old','{"retention":{"completed":{"age":{"secs":315360000,"nanos":0},"count":null},"failed":{"age":{"secs":315360000,"nanos":0},"count":null},"cancelled":{"age":{"secs":315360000,"nanos":0},"count":null}}}');
CREATE TABLE counts (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) WITHOUT ROWID;
INSERT INTO counts VALUES('old','available',4);
INSERT INTO counts VALUES('old','cancelled',1);
INSERT INTO counts VALUES('old','completed',2);
INSERT INTO counts VALUES('old','failed',1);
INSERT INTO counts VALUES('old','running',1);
INSERT INTO counts VALUES('old','scheduled',3);
CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  info TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  -- 1: it lives in the process that holds the lock file, and is dead once another holds it.
  owned INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO workers VALUES('w1','{"id":"w1","process":"","host":"h","queues":[],"seen_at":0}',1795875875045,0);
CREATE TABLE pauses (
  limit_key TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE compatibility (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- The oldest schema version that a binary must know.
  oldest INTEGER NOT NULL
);
INSERT INTO compatibility VALUES(1,2);
CREATE TABLE service_migrations (
    service TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, sql TEXT NOT NULL,
    PRIMARY KEY (service, version));
INSERT INTO service_migrations VALUES('sessions',1,'sessions',replace('-- `goals` and `agenda` are JSON, as they came: a text or a list of texts. `proficiency` is 0 to 100.\nCREATE TABLE skills (\n    id TEXT PRIMARY KEY,\n    user_id TEXT NOT NULL,\n    name TEXT NOT NULL,\n    category TEXT NOT NULL,\n    type TEXT NOT NULL,\n    proficiency DOUBLE PRECISION NOT NULL,\n    description TEXT,\n    experience TEXT,\n    goals TEXT,\n    agenda TEXT,\n    created_at BIGINT NOT NULL,\n    updated_at BIGINT NOT NULL\n);\nCREATE INDEX skills_by_user ON skills (user_id, created_at, id);\n\n-- `focus_keywords` and `metadata` are JSON lists; `metadata` is what the dispatch was answered, `generator` what made\n-- it. `words` is what a search looks into, in lower case. Where the dispatch stands is its job''s to tell.\nCREATE TABLE sessions (\n    id TEXT PRIMARY KEY,\n    host_id TEXT NOT NULL,\n    title TEXT NOT NULL,\n    description TEXT,\n    teach_skill_id TEXT,\n    focus_keywords TEXT NOT NULL,\n    date TEXT NOT NULL,\n    start_time TEXT NOT NULL,\n    end_time TEXT NOT NULL,\n    skill_category TEXT NOT NULL,\n    is_teaching BIGINT NOT NULL,\n    is_public BIGINT NOT NULL,\n    max_participants BIGINT,\n    status TEXT NOT NULL,\n    metadata TEXT NOT NULL,\n    generator TEXT,\n    words TEXT NOT NULL,\n    created_at BIGINT NOT NULL,\n    updated_at BIGINT NOT NULL\n);\nCREATE INDEX sessions_public ON sessions (created_at, id) WHERE is_public = 1;\n\n-- The host and the participants of each session, so that a user''s sessions are one range of one index.\nCREATE TABLE session_members (\n    session_id TEXT NOT NULL,\n    user_id TEXT NOT NULL,\n    role TEXT NOT NULL,\n    joined_at BIGINT NOT NULL,\n    session_created_at BIGINT NOT NULL,\n    PRIMARY KEY (session_id, user_id)\n);\nCREATE INDEX session_members_by_user ON session_members (user_id, session_created_at, session_id);\n','\n',char(10)));
CREATE TABLE outbox (
    id TEXT PRIMARY KEY, jobs TEXT NOT NULL);
CREATE TABLE skills (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    type TEXT NOT NULL,
    proficiency DOUBLE PRECISION NOT NULL,
    description TEXT,
    experience TEXT,
    goals TEXT,
    agenda TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    teach_skill_id TEXT,
    focus_keywords TEXT NOT NULL,
    date TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time TEXT NOT NULL,
    skill_category TEXT NOT NULL,
    is_teaching BIGINT NOT NULL,
    is_public BIGINT NOT NULL,
    max_participants BIGINT,
    status TEXT NOT NULL,
    metadata TEXT NOT NULL,
    generator TEXT,
    words TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE TABLE session_members (
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    session_created_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, user_id)
);
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
CREATE INDEX skills_by_user ON skills (user_id, created_at, id);
CREATE INDEX sessions_public ON sessions (created_at, id) WHERE is_public = 1;
CREATE INDEX session_members_by_user ON session_members (user_id, session_created_at, session_id);
COMMIT;
PRAGMA user_version = 3;
