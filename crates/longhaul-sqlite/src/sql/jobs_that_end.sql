-- Jobs whose time may be over: those that run, or all others.
-- in: now, whether those that run, limit    out: seq    index: jobs_ending
SELECT seq FROM jobs WHERE ends_at <= ?1 AND (state = 'running') = ?2 ORDER BY ends_at LIMIT ?3
