-- Gives available jobs to a worker. Where earlier attempts have written to the log, one more event number is left free
-- before the state's, for the `reset` that `claim.rs` then writes.
-- in: seqs, worker, now, lease_until    out: seq, token
-- index: the primary key
UPDATE jobs SET
  state = 'running', token = nextval('numbers'), worker = $2, started_at = $3, state_at = $3, lease_until = $4,
  attempt = attempt + 1,
  last_event = last_event + 1 + (log_event > 0)::int,
  state_event = last_event + 1 + (log_event > 0)::int,
  log_event = 0
FROM unnest($1::bigint[]) AS taken (number)
WHERE jobs.seq = taken.number
RETURNING jobs.seq, jobs.token
