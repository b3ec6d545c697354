-- Available jobs with limit keys whose time may be over.
-- in: now, limit    out: seq    index: jobs_ending
SELECT seq FROM jobs WHERE ends_at <= ?1 AND state = 'available' AND limit_key IS NOT NULL LIMIT ?2
