-- Notes that workers live, and extends leases. A row that another transaction holds is passed over and answered as not
-- extended: a heartbeat waits for nobody.
-- in: now (null: the server's time); ids and infos of workers; ids, tokens and lengths of leases
-- out: id, token, cancel_by, whether it was extended, of each current lease
-- index: jobs_by_id (see finish_and_claim.sql on `lease_until`); the primary keys
WITH clock AS MATERIALIZED (
  SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) AS now
), seen AS (
  INSERT INTO workers (id, info, seen_at)
  SELECT id, info, clock.now FROM unnest($2::text[], $3::text[]) AS worker (id, info), clock
  ON CONFLICT (id) DO UPDATE SET info = excluded.info, seen_at = excluded.seen_at
), free AS MATERIALIZED (
  SELECT jobs.seq, beat.lease_for
  FROM unnest($4::text[], $5::bigint[], $6::bigint[]) AS beat (id, token, lease_for)
  JOIN jobs ON jobs.id = beat.id AND jobs.token = beat.token AND jobs.lease_until IS NOT NULL
  FOR UPDATE OF jobs SKIP LOCKED
), extended AS (
  UPDATE jobs SET lease_until = clock.now + free.lease_for
  FROM free, clock WHERE jobs.seq = free.seq
  RETURNING jobs.seq
)
SELECT jobs.id, jobs.token, jobs.cancel_by, EXISTS (SELECT FROM extended WHERE extended.seq = jobs.seq)
FROM unnest($4::text[], $5::bigint[], $6::bigint[]) AS beat (id, token, lease_for)
JOIN jobs ON jobs.id = beat.id AND jobs.token = beat.token AND jobs.lease_until IS NOT NULL
