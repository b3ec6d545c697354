-- The jobs without keys that come first in a queue, held for this transaction. What another process is just taking is passed
-- over, and so are jobs whose time is over. See finish_and_claim.sql on versions.
-- in: queue, kinds, newest version of each, limit, now    out: seq, rank, policy
-- index: jobs_available, once for each kind and version
SELECT j.seq, j.rank, j.policy
FROM unnest($2::text[], $3::bigint[]) AS source (of_kind, newest)
CROSS JOIN LATERAL (
  SELECT generate_series(1, least(newest, 4)) AS of_version
  UNION ALL
  SELECT version FROM (
    WITH RECURSIVE present AS (
      (SELECT version FROM jobs
       WHERE state = 'available' AND queue = $1 AND kind = of_kind AND version > 4 AND version <= newest
       ORDER BY version LIMIT 1)
      UNION ALL
      SELECT (SELECT j.version FROM jobs j
              WHERE j.state = 'available' AND j.queue = $1 AND j.kind = of_kind
                AND j.version > present.version AND j.version <= newest
              ORDER BY j.version LIMIT 1)
      FROM present WHERE present.version IS NOT NULL
    )
    SELECT version FROM present
  ) AS rare WHERE newest > 4 AND version IS NOT NULL
) AS versions
CROSS JOIN LATERAL (
  SELECT seq, rank, policy FROM jobs
  WHERE jobs.state = 'available' AND jobs.queue = $1 AND jobs.kind = source.of_kind
    AND jobs.version = versions.of_version AND jobs.rank < 576460752303423488
    AND (ends_at(jobs.started_at, jobs.expires_at, jobs.deadline) > $5) IS NOT FALSE
  ORDER BY jobs.rank, jobs.seq LIMIT $4
  FOR UPDATE SKIP LOCKED
) AS j
ORDER BY j.rank, j.seq LIMIT $4
