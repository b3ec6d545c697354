-- Notes how far a job is and where its log ends.
-- in: seq, progress (null: unchanged), last_event, log_event, steps, new entries, their bytes    index: the primary key
UPDATE jobs SET
  progress = coalesce(?2, progress), last_event = ?3, log_event = ?4, steps = steps + ?5,
  log_entries = log_entries + ?6, log_bytes = log_bytes + ?7
WHERE seq = ?1
