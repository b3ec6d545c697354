-- Extends leases.
-- in: ids, tokens, lease_until    out: id, token, cancel_by    index: jobs_by_id (see turn.sql on `lease_until`)
UPDATE jobs SET lease_until = $3
FROM unnest($1::text[], $2::bigint[]) AS held (id, token)
WHERE jobs.id = held.id AND jobs.token = held.token AND jobs.lease_until IS NOT NULL
RETURNING jobs.id, jobs.token, jobs.cancel_by
