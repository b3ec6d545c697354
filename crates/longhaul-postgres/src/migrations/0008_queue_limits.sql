-- Limits of whole queues, and jobs that prefer workers. A preference stands behind a job's limit keys in `limit_key`, wherever that
-- is the joined text of them: `a,b;gpu=a100`, or `;!gpu=a100` without keys and where no other worker may have it.

-- True for a run of a queue that has limits: it is counted as long as it runs. It means nothing in another state.
ALTER TABLE jobs ADD COLUMN limited BOOLEAN;
CREATE INDEX jobs_running_of_limited ON jobs (queue) WHERE state = 'running' AND limited;

-- Queues with limits, by the text that every release writes, so that one which knows none takes them away with the rest.
CREATE INDEX queues_limited ON queues (name) WHERE config LIKE '%"slots":%' OR config LIKE '%"rate":%';

-- The limit keys of a joined text.
CREATE FUNCTION keys_of(limit_key TEXT) RETURNS TEXT[] LANGUAGE sql IMMUTABLE AS
  $$SELECT string_to_array(split_part(limit_key, ';', 1), ',')$$;

-- Whether a worker with these labels, each as `label=value`, may claim a job that has been due since `run_at`; null where that is
-- not known, and it would be to be known.
CREATE FUNCTION fits(limit_key TEXT, labels TEXT[], run_at BIGINT, now BIGINT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN strpos(limit_key, ';') = 0 THEN true
    WHEN string_to_array(ltrim(substr(limit_key, strpos(limit_key, ';') + 1), '!'), ';') <@ labels THEN true
    WHEN substr(limit_key, strpos(limit_key, ';') + 1, 1) = '!' THEN false
    ELSE run_at + 1000 <= now
  END
$$;

-- The same as before, with jobs that have a preference and no keys: they take the turns of those without keys.
CREATE OR REPLACE FUNCTION has_plain_jobs(of_queue TEXT) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
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
  SELECT EXISTS (SELECT FROM lane WHERE rank < 576460752303423488) OR (
    SELECT seq FROM jobs
    WHERE state = 'available' AND queue = of_queue AND limit_key >= ';' AND limit_key < '<'
    ORDER BY queue, limit_key, kind, version, rank, seq LIMIT 1
  ) IS NOT NULL
$$;

-- Whether jobs of a set of keys are available in a queue, with a preference or without; '' is no keys.
CREATE FUNCTION has_jobs_of_keys(of_queue TEXT, keys TEXT) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
  SELECT CASE keys WHEN '' THEN has_plain_jobs(of_queue) ELSE (
    SELECT seq FROM jobs WHERE state = 'available' AND queue = of_queue AND limit_key = keys
    ORDER BY queue, limit_key, kind, version, rank, seq LIMIT 1
  ) IS NOT NULL OR (
    SELECT seq FROM jobs
    WHERE state = 'available' AND queue = of_queue AND limit_key >= keys || ';' AND limit_key < keys || '<'
    ORDER BY queue, limit_key, kind, version, rank, seq LIMIT 1
  ) IS NOT NULL END
$$;

CREATE OR REPLACE FUNCTION note_limits() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF OLD.state = 'running' AND NEW.state IS DISTINCT FROM 'running' THEN
    INSERT INTO slot_changes (limit_key, change) VALUES (OLD.limit_key, -slots_of(OLD.policy));
  ELSIF NEW.state = 'running' AND OLD.state IS DISTINCT FROM 'running' THEN
    INSERT INTO slot_changes (limit_key, change) VALUES (NEW.limit_key, slots_of(NEW.policy));
  END IF;
  IF OLD.state = 'available' AND NEW.state IS DISTINCT FROM 'running' AND OLD.rank >= 576460752303423488 THEN
    INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event)
    VALUES (OLD.queue, OLD.limit_key, OLD.kind, OLD.version, OLD.rank, OLD.seq,
            CASE WHEN has_jobs_of_keys(OLD.queue, split_part(OLD.limit_key, ';', 1)) THEN 'left' ELSE 'emptied' END);
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
