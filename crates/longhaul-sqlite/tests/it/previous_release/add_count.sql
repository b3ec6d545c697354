-- Moves a queue's count of jobs in a state.
-- in: queue, state, change
INSERT INTO counts (queue, state, n) VALUES (?1, ?2, ?3)
ON CONFLICT (queue, state) DO UPDATE SET n = n + excluded.n
