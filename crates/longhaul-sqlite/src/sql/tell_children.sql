-- Tells the state of a job anew, with how its children stand now.
-- in: seq, now, children_total, children_completed, children_failed, children_cancelled, the event numbers that the state takes
-- index: the primary key
UPDATE jobs SET
  state_at = ?2, children_total = ?3, children_completed = ?4, children_failed = ?5, children_cancelled = ?6,
  last_event = last_event + ?7, state_event = last_event + ?7
WHERE seq = ?1
