-- Makes a queue fair. All turns begin anew.
-- in: queue
-- index: the primary keys; jobs_available_by_keys, once for each set of keys; jobs_available
WITH fair AS (
  INSERT INTO fair_queues (queue) VALUES ($1) ON CONFLICT DO NOTHING
), gone AS (
  DELETE FROM limit_turns WHERE queue = $1
), moved AS (
  UPDATE limit_groups SET turn = 0, turn_key = split_part(limit_key, ';', 1) WHERE queue = $1
)
INSERT INTO limit_turns (queue, limit_key, turn, is_empty)
SELECT DISTINCT $1, split_part(limit_key, ';', 1), 0, false FROM limit_groups
WHERE queue = $1 AND limit_key NOT LIKE ';%' AND (
  SELECT jobs.seq FROM jobs
  WHERE jobs.state = 'available' AND jobs.queue = $1 AND jobs.limit_key = limit_groups.limit_key
  ORDER BY jobs.queue, jobs.limit_key, jobs.kind, jobs.version, jobs.rank, jobs.seq LIMIT 1
) IS NOT NULL
UNION ALL
SELECT $1, '', 0, false WHERE has_plain_jobs($1)
