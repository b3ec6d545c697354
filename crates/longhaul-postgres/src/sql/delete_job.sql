-- Removes a finished job with what belongs to it, and leaves word that it was there.
-- in: seq, when the word is forgotten    index: the primary keys
WITH gone AS (
  DELETE FROM jobs WHERE seq = $1 RETURNING seq, id, unique_key
), logs AS (
  DELETE FROM events WHERE job = $1
), done AS (
  DELETE FROM steps WHERE job = $1
), freed AS (
  DELETE FROM unique_keys USING gone WHERE unique_keys.key = gone.unique_key AND unique_keys.job = gone.seq
)
INSERT INTO tombstones (id, expires_at) SELECT id, $2 FROM gone
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
