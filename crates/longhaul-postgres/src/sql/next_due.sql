-- When the next scheduled job falls due, and when the next gate opens by itself.
-- in: now    out: run_at, opens_at    index: jobs_scheduled, limit_gates_due
SELECT (SELECT min(run_at) FROM jobs WHERE state = 'scheduled'), (SELECT min(opens_at + 0) FROM limit_gates WHERE opens_at + 0 > $1)
