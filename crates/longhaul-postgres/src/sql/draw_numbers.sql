-- Numbers for new jobs, in order.
-- in: how many    out: number
SELECT nextval('numbers') FROM generate_series(1, $1::bigint)
