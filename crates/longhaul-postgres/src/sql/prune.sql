-- Removes the oldest finished jobs of a queue and state, up to one of them, with what belongs to them, and leaves word
-- that they were there. Those are passed over for a while whose parent has not ended, and those that others depend on which have
-- not ended, of the first of these.
-- in: queue, state, kept_from, seq, limit, when the word is forgotten, until when jobs are passed over, how many dependants are
--     looked at
-- out: id, kind, attempt    index: jobs_finished, jobs_by_id, the primary keys
WITH found AS MATERIALIZED (
  SELECT seq, awaited IS NOT NULL AND EXISTS (
    SELECT FROM (SELECT dependant FROM dependencies WHERE job = jobs.seq ORDER BY dependant LIMIT $8) e
    JOIN jobs d ON d.seq = e.dependant WHERE d.state NOT IN ('completed', 'failed', 'cancelled')
  ) OR parent IS NOT NULL AND EXISTS (
    SELECT FROM jobs p WHERE p.id = jobs.parent AND p.state NOT IN ('completed', 'failed', 'cancelled')
  ) AS is_awaited
  FROM jobs
  WHERE queue = $1 AND state = $2 AND kept_from IS NOT NULL AND (kept_from, seq) <= ($3, $4)
  ORDER BY kept_from, seq LIMIT $5 FOR UPDATE SKIP LOCKED
), awaited AS (
  UPDATE jobs SET kept_from = $7 FROM found WHERE jobs.seq = found.seq AND found.is_awaited
), old AS (
  SELECT seq FROM found WHERE NOT is_awaited
), gone AS (
  DELETE FROM jobs USING old WHERE jobs.seq = old.seq RETURNING jobs.seq, id, unique_key, kind, attempt
), logs AS (
  DELETE FROM events USING old WHERE events.job = old.seq
), done AS (
  DELETE FROM steps USING old WHERE steps.job = old.seq
), freed AS (
  DELETE FROM unique_keys USING gone WHERE unique_keys.key = gone.unique_key AND unique_keys.job = gone.seq
), noted AS (
  INSERT INTO tombstones (id, expires_at) SELECT id, $6 FROM gone
  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
)
SELECT id, kind, attempt FROM gone
