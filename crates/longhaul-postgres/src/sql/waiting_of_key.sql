-- The number of available and scheduled jobs of a limit key, in all queues, counted up to a limit. It follows sets_of_key.sql.
-- in: key, limit    out: n    index: jobs_available_by_keys and jobs_scheduled_by_keys, once for each set of keys
SELECT count(*) FROM (
  SELECT FROM sets CROSS JOIN LATERAL (
    SELECT FROM jobs WHERE state = 'available' AND jobs.queue = sets.queue AND jobs.limit_key = sets.limit_key LIMIT $2
  ) AS available
  UNION ALL
  SELECT FROM later CROSS JOIN LATERAL (
    SELECT FROM jobs
    WHERE state = 'scheduled' AND jobs.limit_key > '' AND (strpos(jobs.limit_key, ',') > 0) = (strpos(later.limit_key, ',') > 0)
      AND jobs.limit_key = later.limit_key
    LIMIT $2
  ) AS scheduled
  LIMIT $2
) AS counted
