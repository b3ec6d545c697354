-- Removes the oldest finished jobs of a queue and state, up to one of them, with what belongs to them, and leaves word
-- that they were there.
-- in: queue, state, kept_from, seq, limit, when the word is forgotten    out: id, kind, attempt    index: jobs_finished
WITH old AS (
  SELECT seq FROM jobs
  WHERE queue = $1 AND state = $2 AND kept_from IS NOT NULL AND (kept_from, seq) <= ($3, $4)
  ORDER BY kept_from, seq LIMIT $5 FOR UPDATE SKIP LOCKED
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
