-- The ids of the jobs that hold unique keys now. See key_infos.sql on the query for the keys.
-- in: keys, now    out: key, id    index: the primary keys of both tables
SELECT k.key, j.id
FROM unique_keys k JOIN jobs j ON j.seq = k.job
WHERE k.key = ANY (ARRAY(SELECT unnest($1::text[]))) AND (k.expires_at IS NULL OR k.expires_at > $2)
