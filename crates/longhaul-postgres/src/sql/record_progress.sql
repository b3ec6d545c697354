-- Notes how far a job is and where its log ends.
-- in: seq, progress (null: unchanged), last_event, log_event, new steps, new rows of the log and their bytes
-- out: whether the log is larger than is kept (10,000 rows, 16 MiB)    index: the primary key
UPDATE jobs SET
  progress = coalesce($2, progress), last_event = $3, log_event = $4, steps = steps + $5,
  log_rows = log_rows + $6, log_bytes = log_bytes + $7
WHERE seq = $1
RETURNING log_rows > 10000 OR log_bytes > 16777216
