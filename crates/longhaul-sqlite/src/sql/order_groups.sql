-- Begins the turns of a queue's groups anew, and opens all, because their order is another.
-- in: queue, whether it is fair
UPDATE key_groups SET turn = 0, tie = iif(?2, limit_key, ''), closed_by = NULL WHERE queue = ?1
