-- Notes how the counts of queues change.
-- in: queues, states, changes
INSERT INTO count_deltas (queue, state, n)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
