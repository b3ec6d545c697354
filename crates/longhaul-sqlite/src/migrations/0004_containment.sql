-- What keeps one fault, one queue or one clock from concerning everybody else.

-- What no query filters or orders by, as one JSON object, so that a new field is no new column; null is the default. Its
-- timeout and backoff are written to the columns of before, too, which the release of before reads.
ALTER TABLE jobs ADD COLUMN policy TEXT;
-- How many entries the job's log has and how many bytes they are, as far as a release that bounds it has written them; and
-- the number of the newest entry that has left it (0: none).
ALTER TABLE jobs ADD COLUMN log_entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN log_gap INTEGER NOT NULL DEFAULT 0;

-- For each boot of the machine, the time of day at its start: see `lease_clock.rs`.
CREATE TABLE boots (
  boot TEXT PRIMARY KEY,
  offset INTEGER NOT NULL
) WITHOUT ROWID;

-- No finished job of the queue and state is older than its retention before then. Whatever is not known to be later is 0.
ALTER TABLE counts ADD COLUMN prune_at INTEGER NOT NULL DEFAULT 0;
-- How many finished jobs of the queue and state are kept; null is no bound.
ALTER TABLE counts ADD COLUMN most INTEGER;
CREATE INDEX counts_to_prune ON counts (prune_at) WHERE n > 0 AND state IN ('completed', 'failed', 'cancelled');
CREATE INDEX counts_above ON counts (queue, state) WHERE n > most;

CREATE INDEX pauses_ending ON pauses (until);
CREATE INDEX workers_by_age ON workers (seen_at);

-- The bounds that were set before there was a column for them.
INSERT INTO counts (queue, state, n, most)
SELECT q.name, s.state, 0, json_extract(q.config, '$.retention.' || s.state || '.count')
FROM queues q, (SELECT 'completed' AS state UNION ALL SELECT 'failed' UNION ALL SELECT 'cancelled') s
WHERE json_valid(q.config)
ON CONFLICT (queue, state) DO UPDATE SET most = excluded.most;
