-- When the next scheduled job falls due.
-- out: run_at    index: jobs_scheduled
SELECT min(run_at) FROM jobs WHERE state = 'scheduled'
