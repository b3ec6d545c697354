-- The number of jobs by queue and state.
-- out: queue, state, n
SELECT queue, state, sum(n)::bigint
FROM (SELECT queue, state, n FROM counts UNION ALL SELECT queue, state, n FROM count_deltas) AS noted
GROUP BY queue, state HAVING sum(n) > 0
