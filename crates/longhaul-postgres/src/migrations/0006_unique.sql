-- How long a job holds its unique key, where more is to be said than `unique_period`, as JSON; why it was cancelled or asked
-- to stop; when it ends by itself unless it was started, and in any case.
ALTER TABLE jobs
  ADD COLUMN hold TEXT,
  ADD COLUMN cancel_reason TEXT COLLATE "C",
  ADD COLUMN expires_at BIGINT,
  ADD COLUMN deadline BIGINT;

-- When a job that has not ended is over by itself. A job that was started does not expire.
CREATE FUNCTION ends_at(started_at BIGINT, expires_at BIGINT, deadline BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS
  'SELECT least(CASE WHEN started_at IS NULL THEN expires_at END, deadline)';
CREATE INDEX jobs_ending ON jobs (ends_at(started_at, expires_at, deadline))
  WHERE finished_at IS NULL AND coalesce(expires_at, deadline) IS NOT NULL;

-- Queues and limit keys whose waiting jobs are bounded: by the text that every release writes, so that one which knows no
-- bounds takes them away with the rest of the configuration.
CREATE INDEX queues_bounded ON queues (name) WHERE config LIKE '%"max_waiting":%';
CREATE INDEX key_configs_bounded ON key_configs (key) WHERE config LIKE '%"max_waiting":%';
-- Scheduled jobs by queue and by keys, to be counted and dropped. The conditions are ones that no other statement has, so that
-- none takes these in place of jobs_scheduled.
CREATE INDEX jobs_scheduled_by_queue ON jobs (queue, seq) WHERE state = 'scheduled' AND queue > '';
CREATE INDEX jobs_scheduled_by_keys ON jobs ((strpos(limit_key, ',') > 0), limit_key, seq)
  WHERE state = 'scheduled' AND limit_key > '';

-- What runs have taken of the rates of their keys in truth, beside what was reserved for them: to be folded in as
-- `slot_changes` are.
CREATE TABLE rate_changes (
  limit_key TEXT COLLATE "C" NOT NULL,
  reserved BIGINT NOT NULL,
  actual BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The units that a run takes of the rate of each of its keys, by the job's policy.
CREATE FUNCTION rate_of(policy TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS
  $$SELECT coalesce(substring(policy FROM '"cost":\{[^}]*"rate":(\d{1,7})\D')::bigint, 1)$$;

-- A job that waits may change its version, and with it its group.
DROP TRIGGER limits_of_changed ON jobs;
CREATE TRIGGER limits_of_changed AFTER UPDATE ON jobs FOR EACH ROW
  WHEN (NEW.limit_key IS NOT NULL AND (NEW.state <> OLD.state OR NEW.rank <> OLD.rank OR NEW.version <> OLD.version))
  EXECUTE FUNCTION note_limits();
