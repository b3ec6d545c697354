-- The jobs that are noted as the holders of unique keys now.
-- in: keys, now    out: as target.rs reads it; the key, until when it is held, finished_at    index: the primary keys of both tables
SELECT j.id, j.seq, j.queue, j.state, j.priority, j.unique_key, j.batch, j.cancel_by, j.kind, j.attempt, j.run_at,
       j.state_event, j.limit_key, j.hold, j.unique_period, j.created_at, j.started_at, k.key,
       k.expires_at, j.finished_at
FROM unique_keys k JOIN jobs j ON j.seq = k.job
WHERE k.key = ANY ($1::text[]) AND (k.expires_at IS NULL OR k.expires_at > $2)
