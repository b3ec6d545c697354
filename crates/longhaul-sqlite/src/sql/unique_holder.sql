-- The job that holds a unique key now.
-- in: key, now    out: id, seq, state, kind, run_at, created_at, started_at, policy    index: the primary keys of both tables
SELECT j.id, j.seq, j.state, j.kind, j.run_at, j.created_at, j.started_at, j.policy
FROM unique_keys k JOIN jobs j ON j.seq = k.job
WHERE k.key = ?1 AND (k.expires_at IS NULL OR k.expires_at > ?2)
