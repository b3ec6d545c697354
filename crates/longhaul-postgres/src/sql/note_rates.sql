-- Notes what a run has taken of the rates of its limit keys and of its queue, beside what was reserved for it.
-- in: job, units    index: the primary key
INSERT INTO rate_changes (limit_key, reserved, actual)
SELECT limit_key, rate_of(policy), $2::bigint FROM jobs WHERE seq = $1 AND limit_key IS NOT NULL
UNION ALL
SELECT '=' || queue, rate_of(policy), $2::bigint FROM jobs WHERE seq = $1 AND limited
