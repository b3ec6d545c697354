-- Notes how far a job is and where its log ends.
-- in: seq, progress (null: unchanged), last_event, log_event, steps
UPDATE jobs SET progress = coalesce(?2, progress), last_event = ?3, log_event = ?4, steps = steps + ?5
WHERE seq = ?1
