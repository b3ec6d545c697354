-- Notes how many finished jobs of a queue and state are kept, and that their ages must be looked at anew.
-- in: queue, state, most (null: no bound)    index: the primary key
INSERT INTO counts (queue, state, n, most) VALUES (?1, ?2, 0, ?3)
ON CONFLICT (queue, state) DO UPDATE SET most = excluded.most, prune_at = 0
