-- Limit keys: their limits, what is taken of them, and the groups in which their jobs wait. `limit_key` is the joined text
-- of all keys of a job, here as in `jobs`; `key` is one of them.
--
-- `limit_keys` and the tables of groups, gates and turns are written under one lock (see limits/mod.rs). Everybody else
-- adds to `slot_changes` and `arrivals` alone, which nobody waits for.

-- The limits that were set for a key, or for a prefix with its `*`.
CREATE TABLE key_configs (
  key TEXT COLLATE "C" PRIMARY KEY,
  config TEXT NOT NULL
);
CREATE INDEX key_configs_of_prefixes ON key_configs (key) WHERE right(key, 1) = '*';

-- What is taken of keys; `slot_changes` is to be added. Times are microseconds here.
CREATE TABLE limit_keys (
  key TEXT COLLATE "C" PRIMARY KEY,
  used BIGINT NOT NULL DEFAULT 0,
  rate TEXT,
  rate_free_at BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX limit_keys_free ON limit_keys (rate_free_at) WHERE used <= 0;

-- Slots that runs have taken (more than 0) or given back (less), and keys that were opened by hand (0).
CREATE TABLE slot_changes (
  limit_key TEXT COLLATE "C" NOT NULL,
  change BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The available jobs of one queue, kind, version and set of keys wait as a group. Its place is that of its first job, or
-- before it; in a fair queue the turn and `turn_key`, which is the joined keys, come first (elsewhere 0 and ''). `closed_by`
-- is the key that keeps the first job from being claimed; '' where no job was left.
CREATE TABLE limit_groups (
  queue TEXT COLLATE "C" NOT NULL,
  limit_key TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  turn BIGINT NOT NULL DEFAULT 0,
  turn_key TEXT COLLATE "C" NOT NULL DEFAULT '',
  rank BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  closed_by TEXT COLLATE "C",
  PRIMARY KEY (queue, limit_key, kind, version)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX limit_groups_open ON limit_groups (queue, kind, version, turn, turn_key, rank, seq) WHERE closed_by IS NULL;
CREATE INDEX limit_groups_closed ON limit_groups (closed_by, queue, kind, version, turn, turn_key, rank, seq)
  WHERE closed_by IS NOT NULL;

-- The groups of a queue, kind and version that a key has closed are behind its gate: they are looked at again from
-- `opens_at` on (null: once a slot is given back). Its cost is the least of their first jobs.
CREATE TABLE limit_gates (
  key TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  opens_at BIGINT,
  slots BIGINT NOT NULL,
  rate BIGINT NOT NULL,
  PRIMARY KEY (key, queue, kind, version)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX limit_gates_of_queue ON limit_gates (queue, kind, opens_at) WHERE opens_at IS NOT NULL;
-- Of an expression, so that no look at one queue's gates takes it: of an empty table the server thinks each index as good.
CREATE INDEX limit_gates_due ON limit_gates ((opens_at + 0));

-- The places where jobs of a key may wait.
CREATE TABLE key_groups (
  key TEXT COLLATE "C" NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  limit_key TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (key, queue, limit_key)
);
CREATE INDEX key_groups_of_queue ON key_groups (queue, key, limit_key);

-- Places from which on a group has changed, in order: a job has come (`arrived`), has gone or moved (`left`), or was the last
-- of its keys in its queue to go (`emptied`). Without a key only of fair queues, whose jobs without keys take turns, too.
CREATE TABLE arrivals (
  n BIGSERIAL NOT NULL,
  queue TEXT COLLATE "C" NOT NULL,
  limit_key TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  rank BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  event TEXT COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX arrivals_of_queue ON arrivals (queue, n);

-- The latest turn that was taken in each fair queue, and the next turn of each set of keys; `is_empty` where no job of them
-- was left.
CREATE TABLE fair_queues (
  queue TEXT COLLATE "C" PRIMARY KEY,
  turn BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE limit_turns (
  queue TEXT COLLATE "C" NOT NULL,
  limit_key TEXT COLLATE "C" NOT NULL,
  turn BIGINT NOT NULL,
  is_empty BOOLEAN NOT NULL,
  PRIMARY KEY (queue, limit_key)
) WITH (fillfactor = 50);
CREATE INDEX limit_turns_empty ON limit_turns (queue, turn) WHERE is_empty;

-- Where jobs with limit keys stand in `jobs.rank`: behind all others of their kind and version, which a claim that looks for
-- those without keys does not reach, and in their own order.
CREATE FUNCTION place(rank BIGINT, limit_key TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS
  'SELECT rank + CASE WHEN limit_key IS NULL THEN 0 ELSE 1152921504606846976 END';

-- The slots that a run takes of each of its keys, by the job's policy.
CREATE FUNCTION slots_of(policy TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS
  $$SELECT coalesce(substring(policy FROM '"cost":\{[^}]*"slots":(\d{1,7})\D')::bigint, 1)$$;

-- Jobs without keys that are available in a queue, one step for each kind and version.
CREATE FUNCTION has_plain_jobs(of_queue TEXT) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
  WITH RECURSIVE lane AS (
    (SELECT kind, version, rank FROM jobs WHERE state = 'available' AND queue = of_queue ORDER BY kind, version, rank LIMIT 1)
    UNION ALL
    SELECT next.* FROM lane CROSS JOIN LATERAL (
      SELECT kind, version, rank FROM jobs
      WHERE state = 'available' AND queue = of_queue AND (kind, version) > (lane.kind, lane.version)
      ORDER BY kind, version, rank LIMIT 1
    ) AS next
    WHERE lane.rank >= 576460752303423488
  )
  SELECT EXISTS (SELECT FROM lane WHERE rank < 576460752303423488)
$$;

-- Notes what befalls jobs with limit keys, whichever release's statement does it. A place of the release before, which knows
-- no places but `rank`, becomes one of these.
CREATE FUNCTION note_limits() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF OLD.state = 'running' AND NEW.state IS DISTINCT FROM 'running' THEN
    INSERT INTO slot_changes (limit_key, change) VALUES (OLD.limit_key, -slots_of(OLD.policy));
  ELSIF NEW.state = 'running' AND OLD.state IS DISTINCT FROM 'running' THEN
    INSERT INTO slot_changes (limit_key, change) VALUES (NEW.limit_key, slots_of(NEW.policy));
  END IF;
  IF OLD.state = 'available' AND NEW.state IS DISTINCT FROM 'running' AND OLD.rank >= 576460752303423488 THEN
    INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
    SELECT OLD.queue, OLD.limit_key, OLD.kind, OLD.version, OLD.rank, OLD.seq, CASE WHEN (
      SELECT seq FROM jobs WHERE state = 'available' AND queue = OLD.queue AND limit_key = OLD.limit_key
      ORDER BY queue, limit_key, kind, version, rank, seq LIMIT 1
    ) IS NULL THEN 'emptied' ELSE 'left' END;
  END IF;
  IF NEW.rank < 576460752303423488 THEN
    UPDATE jobs SET rank = place(rank, limit_key) WHERE seq = NEW.seq;
  END IF;
  IF NEW.state = 'available' THEN
    INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
    VALUES (NEW.queue, NEW.limit_key, NEW.kind, NEW.version,
            CASE WHEN NEW.rank < 576460752303423488 THEN place(NEW.rank, NEW.limit_key) ELSE NEW.rank END, NEW.seq,
            CASE WHEN OLD.state = 'available' THEN 'left' ELSE 'arrived' END);
  END IF;
  RETURN NULL;
END
$$;

-- From here on no job changes until this is done.
LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE;
CREATE INDEX jobs_available_by_keys ON jobs (queue, limit_key, kind, version, rank, seq)
  WHERE state = 'available' AND limit_key IS NOT NULL;
INSERT INTO slot_changes (limit_key, change)
SELECT limit_key, slots_of(policy) FROM jobs WHERE state = 'running' AND limit_key IS NOT NULL;
UPDATE jobs SET rank = place(rank, limit_key)
WHERE state IN ('available', 'scheduled', 'running', 'blocked') AND limit_key IS NOT NULL;
INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
SELECT queue, limit_key, kind, version, rank, seq, 'arrived' FROM jobs WHERE state = 'available' AND limit_key IS NOT NULL;
-- After the statement, and by the row alone: one that fires before an update would have each row locked first.
CREATE TRIGGER limits_of_new AFTER INSERT ON jobs FOR EACH ROW
  WHEN (NEW.limit_key IS NOT NULL) EXECUTE FUNCTION note_limits();
CREATE TRIGGER limits_of_changed AFTER UPDATE ON jobs FOR EACH ROW
  WHEN (NEW.limit_key IS NOT NULL AND (NEW.state <> OLD.state OR NEW.rank <> OLD.rank)) EXECUTE FUNCTION note_limits();
CREATE TRIGGER limits_of_deleted AFTER DELETE ON jobs FOR EACH ROW
  WHEN (OLD.limit_key IS NOT NULL AND OLD.state IN ('available', 'running')) EXECUTE FUNCTION note_limits();
