-- Takes jobs that have come, gone or moved into their groups, where the lock of limits is held (see lock_limits.sql): a group whose first job may be another is looked at again. In
-- a fair queue keys that come anew begin with the turn that was taken last. Elsewhere, jobs that were taken meanwhile need no group (see finish_and_claim_keyed.sql).
-- They are read in the order of their index, which skips the pages that earlier folds have emptied: a vacuum cannot give back those
-- before the last one in use, and a reading of the whole table would go through all of them each time.
-- in: the most of them    out: how many there were
-- index: arrivals_of_queue; the primary keys of fair_queues, limit_turns, limit_groups and key_groups, and of jobs for each that has come
WITH gone AS (
  DELETE FROM arrivals WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM arrivals WHERE (SELECT current_setting('longhaul.limits', true) = 'held')
    ORDER BY queue, n LIMIT $1))
  RETURNING n, queue, limit_key, kind, version, rank, seq, event
), told AS MATERIALIZED (
  SELECT DISTINCT ON (queue, limit_key, kind, version) * FROM (
    SELECT gone.queue, gone.limit_key, split_part(gone.limit_key, ';', 1) AS keys, gone.kind, gone.version, gone.rank, gone.seq,
      max(n) FILTER (WHERE event = 'arrived') OVER keys AS arrived, max(n) FILTER (WHERE event = 'emptied') OVER keys AS emptied,
      bool_or(event <> 'arrived' OR (SELECT state FROM jobs WHERE jobs.seq = gone.seq) = 'available') OVER place AS has_jobs
    FROM gone
    WINDOW keys AS (PARTITION BY gone.queue, split_part(gone.limit_key, ';', 1)),
      place AS (PARTITION BY gone.queue, gone.limit_key, gone.kind, gone.version)
  ) AS each
  ORDER BY queue, limit_key, kind, version, rank, seq
), placed AS MATERIALIZED (
  SELECT told.*, fair.turn AS latest,
    CASE
      WHEN arrived IS NOT NULL AND (emptied IS NOT NULL OR coalesce(before.is_empty, true)) THEN greatest(before.turn, fair.turn)
      ELSE before.turn
    END AS turn,
    known.queue IS NULL OR known.closed_by = '' AS is_new
  FROM told
  LEFT JOIN LATERAL (SELECT turn FROM fair_queues WHERE fair_queues.queue = told.queue OFFSET 0) AS fair ON true
  LEFT JOIN LATERAL (
    SELECT turn, is_empty FROM limit_turns
    WHERE fair.turn IS NOT NULL AND limit_turns.queue = told.queue AND limit_turns.limit_key = told.keys OFFSET 0
  ) AS before ON true
  LEFT JOIN LATERAL (
    SELECT queue, closed_by FROM limit_groups
    WHERE limit_groups.queue = told.queue AND limit_groups.limit_key = told.limit_key AND limit_groups.kind = told.kind
      AND limit_groups.version = told.version OFFSET 0
  ) AS known ON true
), turned AS (
  INSERT INTO limit_turns (queue, limit_key, turn, is_empty)
  SELECT DISTINCT queue, keys, coalesce(turn, 0), coalesce(emptied > arrived, arrived IS NULL)
  FROM placed WHERE latest IS NOT NULL AND (arrived IS NOT NULL OR emptied IS NOT NULL)
  ON CONFLICT (queue, limit_key) DO UPDATE SET turn = excluded.turn, is_empty = excluded.is_empty
), grouped AS (
  INSERT INTO limit_groups (queue, limit_key, kind, version, turn, turn_key, rank, seq)
  SELECT queue, limit_key, kind, version, CASE WHEN latest IS NULL THEN 0 ELSE coalesce(turn, 0) END,
    CASE WHEN latest IS NULL THEN '' ELSE keys END, rank, seq
  FROM placed WHERE limit_key <> '' AND (has_jobs OR latest IS NOT NULL)
  ON CONFLICT (queue, limit_key, kind, version) DO UPDATE SET
    turn = excluded.turn,
    rank = least(limit_groups.rank, excluded.rank),
    seq = CASE WHEN (limit_groups.rank, limit_groups.seq) >= (excluded.rank, excluded.seq)
      THEN excluded.seq ELSE limit_groups.seq END,
    closed_by = CASE WHEN (limit_groups.rank, limit_groups.seq) >= (excluded.rank, excluded.seq)
      THEN NULL ELSE limit_groups.closed_by END
  WHERE (limit_groups.rank, limit_groups.seq) >= (excluded.rank, excluded.seq) OR limit_groups.turn <> excluded.turn
), named AS (
  INSERT INTO key_groups (key, queue, limit_key)
  SELECT DISTINCT key, queue, limit_key
  FROM placed CROSS JOIN LATERAL unnest(keys_of(limit_key)) AS key
  WHERE is_new AND limit_key <> '' AND (has_jobs OR latest IS NOT NULL)
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone
