-- Gives an available job to a worker. Where earlier attempts have written to the log, one more event number is
-- left free before the state's, for the `reset` that `claim.rs` then writes.
-- No RETURNING: SQLite makes a temporary table for each, which costs more than reading the row first.
-- in: seq, token, worker, now, lease_until
-- index: the primary key
UPDATE jobs SET
  state = 'running', token = ?2, worker = ?3, started_at = ?4, state_at = ?4, lease_until = ?5,
  room = x'0000000000000000000000000000', attempt = attempt + 1,
  last_event = last_event + 1 + (log_event > 0),
  state_event = last_event + 1 + (log_event > 0),
  log_event = 0
WHERE seq = ?1
