-- Jobs that take slots of limit keys or of their queue though they do not run: an earlier release has ended their runs.
-- in: limit    out: seq, limit_key or '', queue, held    index: jobs_held_on
SELECT seq, coalesce(limit_key, ''), queue, held FROM jobs WHERE held IS NOT NULL AND state <> 'running' LIMIT ?1
