-- The jobs that wait and have limit keys.
-- out: seq, limit_key    index: jobs_of_group, jobs_scheduled
SELECT seq, limit_key FROM jobs INDEXED BY jobs_of_group WHERE limit_key IS NOT NULL AND state = 'available'
UNION ALL
SELECT seq, limit_key FROM jobs INDEXED BY jobs_scheduled WHERE state = 'scheduled' AND limit_key IS NOT NULL
