-- Remembers jobs that another store has removed, unless they are there or known.
-- in: ids, until, now    out: id, of those that were not    index: the primary key; jobs_by_id
INSERT INTO tombstones (id, expires_at)
SELECT id, expires_at FROM unnest($1::text[], $2::bigint[]) AS gone (id, expires_at)
WHERE expires_at > $3 AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = gone.id)
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at WHERE tombstones.expires_at <= $3
RETURNING id
