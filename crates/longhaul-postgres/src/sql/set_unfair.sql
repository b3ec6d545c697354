-- Lets a queue be fair no more.
-- in: queue    index: the primary keys
WITH fair AS (
  DELETE FROM fair_queues WHERE queue = $1
), gone AS (
  DELETE FROM limit_turns WHERE queue = $1
)
UPDATE limit_groups SET turn = 0, turn_key = '' WHERE queue = $1
