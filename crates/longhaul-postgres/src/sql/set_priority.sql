-- Gives a job another priority and place, and tells its state anew.
-- in: seq, now, priority, rank    index: the primary key
UPDATE jobs SET
  priority = $3, rank = place($4, limit_key), state_at = $2, last_event = last_event + 1, state_event = last_event + 1
WHERE seq = $1
