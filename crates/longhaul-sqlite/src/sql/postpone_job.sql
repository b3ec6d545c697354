-- Lets an available job of a paused limit key wait for the pause's end.
-- in: seq, now, run_at, rank    index: the primary key
UPDATE jobs SET
  state = 'scheduled', state_at = ?2, run_at = ?3, rank = ?4,
  last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
