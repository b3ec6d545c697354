-- Notes when claims of a queue are to look again though nothing is done: its rate admits the next job, or a job has waited for workers
-- that it prefers. It is a gate behind which nothing is.
-- in: queue, opens_at, now    index: the primary key
INSERT INTO limit_gates (key, queue, kind, version, opens_at, slots, rate) VALUES ('=', $1, '', 0, $2, 0, 0)
ON CONFLICT (key, queue, kind, version) DO UPDATE SET opens_at = excluded.opens_at
WHERE limit_gates.opens_at <= $3 OR limit_gates.opens_at > excluded.opens_at
