-- The job that holds a unique key now.
-- in: key, now    out: id, seq, state    index: the primary keys of both tables
SELECT j.id, j.seq, j.state FROM unique_keys k JOIN jobs j ON j.seq = k.job
WHERE k.key = ?1 AND (k.expires_at IS NULL OR k.expires_at > ?2)
