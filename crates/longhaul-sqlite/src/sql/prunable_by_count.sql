-- Queues and states that have more finished jobs than are kept.
-- in: limit    out: queue, state, how many more    index: counts_above
SELECT queue, state, n - most FROM counts INDEXED BY counts_above WHERE n > most LIMIT ?1
