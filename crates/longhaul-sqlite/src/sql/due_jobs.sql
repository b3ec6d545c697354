-- Scheduled jobs whose time has come, oldest first.
-- in: now, limit    out: seq, queue    index: jobs_scheduled
SELECT seq, queue FROM jobs WHERE state = 'scheduled' AND run_at <= ?1 ORDER BY run_at LIMIT ?2
