-- Has the history of queues and states looked at anew, because older jobs have joined it.
-- in: queues, states    index: the primary key
UPDATE counts SET prune_at = 0
FROM unnest($1::text[], $2::text[]) AS ended (queue, state)
WHERE counts.queue = ended.queue AND counts.state = ended.state
