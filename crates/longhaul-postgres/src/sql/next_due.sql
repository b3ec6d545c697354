-- The times at which the next scheduled job falls due or wait times out, and at which the next gate opens.
-- in: now    out: run_at, opens_at    index: jobs_scheduled, jobs_waking, limit_gates_due
SELECT least((SELECT min(run_at) FROM jobs WHERE state = 'scheduled'),
             (SELECT min(wakes_at) FROM jobs WHERE state = 'blocked' AND wakes_at IS NOT NULL)), (SELECT min(opens_at + 0) FROM limit_gates WHERE opens_at + 0 > $1)
