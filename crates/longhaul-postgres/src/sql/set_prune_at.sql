-- Notes when histories are looked at again.
-- in: queues, states, times    index: the primary key
UPDATE counts SET prune_at = history.prune_at
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS history (queue, state, prune_at)
WHERE counts.queue = history.queue AND counts.state = history.state
