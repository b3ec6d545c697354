-- Those of some jobs that were removed a short while ago.
-- in: ids, now    out: id    index: the primary key
SELECT id FROM tombstones WHERE id = ANY ($1::text[]) AND expires_at > $2
