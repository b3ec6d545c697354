-- Notes the next turns of sets of keys in a fair queue, of which jobs were claimed just now, and the latest that was taken.
-- in: queue, joined keys, turns, latest turn
-- index: the primary keys of limit_turns, limit_groups and fair_queues; jobs_available_by_keys, one step for each
WITH taken AS MATERIALIZED (
  SELECT limit_key, turn, NOT has_jobs_of_keys($1, limit_key) AS is_empty
  FROM unnest($2::text[], $3::bigint[]) AS run (limit_key, turn)
), noted AS (
  INSERT INTO limit_turns (queue, limit_key, turn, is_empty) SELECT $1, limit_key, turn, is_empty FROM taken
  ON CONFLICT (queue, limit_key) DO UPDATE SET turn = excluded.turn, is_empty = excluded.is_empty
), moved AS (
  UPDATE limit_groups SET turn = taken.turn
  FROM taken CROSS JOIN LATERAL (
    SELECT ctid AS place FROM limit_groups WHERE queue = $1 AND limit_key = taken.limit_key
    UNION ALL
    SELECT ctid FROM limit_groups
    WHERE queue = $1 AND limit_key >= taken.limit_key || ';' AND limit_key < taken.limit_key || '<'
  ) AS known
  WHERE limit_groups.ctid = known.place
)
UPDATE fair_queues SET turn = $4 WHERE queue = $1 AND turn < $4
