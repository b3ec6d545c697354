-- Jobs that take slots of limit keys though they do not run: an earlier release has ended their runs.
-- in: limit    out: seq, limit_key, held    index: jobs_held_on
SELECT seq, limit_key, held FROM jobs WHERE held IS NOT NULL AND state <> 'running' LIMIT ?1
