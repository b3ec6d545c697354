-- The open groups of a queue that come first, by their places, each with its first jobs whose time is not over; and what is taken of
-- their keys. Groups that prefer others, and are for no worker else, are passed over.
-- in: queue, kinds, newest version of each, the most groups, how many jobs are wanted, joined keys that are passed over,
--     now, labels of the worker, groups that are passed over (kind, version and joined keys with `=` between)
-- out: kind, version, limit_key, turn, turn_key, rank, seq of the group; policy, seq and rank of a job (null: it has none);
--      rank and seq of the first closed group of the same keys that the worker may claim of, which goes before what stands behind it
--      (null: there is none); run_at of the job. And for each key null, null, then as key_states.sql
-- index: limit_groups_open, once for each kind and version; jobs_available_by_keys and the primary key, once and twice for each group; the
--        primary keys of limit_keys, pauses and key_configs, once for each key
WITH first AS MATERIALIZED (
  SELECT groups.*
  FROM unnest($2::text[], $3::bigint[]) AS source (of_kind, newest)
  CROSS JOIN LATERAL (
    WITH RECURSIVE present AS (
      (SELECT version FROM limit_groups
       WHERE closed_by IS NULL AND queue = $1 AND kind = of_kind AND version <= newest
       ORDER BY version LIMIT 1)
      UNION ALL
      SELECT (SELECT g.version FROM limit_groups g
              WHERE g.closed_by IS NULL AND g.queue = $1 AND g.kind = of_kind
                AND g.version > present.version AND g.version <= newest
              ORDER BY g.version LIMIT 1)
      FROM present WHERE present.version IS NOT NULL
    )
    SELECT version AS of_version FROM present WHERE version IS NOT NULL
  ) AS versions
  CROSS JOIN LATERAL (
    SELECT kind, version, limit_key, split_part(limit_key, ';', 1) AS keys, turn, turn_key, rank, seq FROM limit_groups
    WHERE closed_by IS NULL AND queue = $1 AND kind = of_kind AND version = of_version AND limit_key <> ALL ($6::text[])
      AND fits(limit_key, $8::text[], NULL, $7) IS NOT FALSE
      AND (cardinality($9::text[]) = 0 OR kind || '=' || version || '=' || limit_key <> ALL ($9::text[]))
    ORDER BY turn, turn_key, rank, seq LIMIT $4
  ) AS groups
  ORDER BY turn, turn_key, rank, seq LIMIT $4
), closed AS MATERIALIZED (
  SELECT DISTINCT ON (first.keys) first.keys, other.rank, other.seq
  FROM first CROSS JOIN LATERAL (
    SELECT * FROM limit_groups
    WHERE first.keys <> '' AND limit_groups.queue = $1 AND limit_groups.limit_key = first.keys
    UNION ALL
    SELECT * FROM limit_groups
    WHERE first.keys <> '' AND limit_groups.queue = $1 AND limit_groups.limit_key >= first.keys || ';'
      AND limit_groups.limit_key < first.keys || '<'
    -- The closing keys are looked up afterwards, or else the plan might scan the closed groups of the queue.
    OFFSET 0
  ) AS other
  WHERE closed_by <> '' AND EXISTS (
      SELECT FROM unnest($2::text[], $3::bigint[]) AS source (of_kind, newest)
      WHERE of_kind = other.kind AND other.version <= newest)
    AND fits(other.limit_key, $8::text[], (SELECT run_at FROM jobs WHERE jobs.seq = other.seq), $7)
  ORDER BY first.keys, other.rank, other.seq
)
SELECT first.kind, first.version, first.limit_key, first.turn, first.turn_key, first.rank, first.seq,
  waiting.policy, waiting.seq AS job, waiting.rank AS job_rank, closed.rank AS closed_rank, closed.seq AS closed_seq, waiting.run_at
FROM first
LEFT JOIN closed ON closed.keys = first.keys
LEFT JOIN LATERAL (
  SELECT seq, rank, policy, run_at FROM jobs
  WHERE state = 'available' AND queue = $1 AND limit_key = first.limit_key AND kind = first.kind
    AND version = first.version AND (rank, seq) >= (first.rank, first.seq)
    AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $7) IS NOT FALSE
  ORDER BY rank, seq LIMIT (SELECT 1 + greatest($5::bigint * 2 / greatest(count(*), 1), least($5, 3)) FROM first)
) AS waiting ON true
UNION ALL
SELECT NULL, NULL, named.key, coalesce(taken.used, 0), taken.rate COLLATE "C", coalesce(taken.rate_free_at, 0), pauses.until, own.config,
  NULL, NULL, NULL, NULL, NULL
FROM (SELECT DISTINCT key FROM first CROSS JOIN LATERAL unnest(keys_of(first.limit_key)) AS key) AS named
-- One look-up for each, whatever the server has counted: see ARCHITECTURE.md on small tables.
LEFT JOIN LATERAL (SELECT used, rate, rate_free_at FROM limit_keys WHERE key = named.key OFFSET 0) AS taken ON true
LEFT JOIN LATERAL (SELECT until FROM pauses WHERE limit_key = named.key OFFSET 0) AS pauses ON true
LEFT JOIN LATERAL (SELECT config FROM key_configs WHERE key = named.key OFFSET 0) AS own ON true
ORDER BY turn, turn_key, rank, seq, kind, version, limit_key, job_rank, job
