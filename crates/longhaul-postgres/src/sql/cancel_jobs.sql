-- Cancels jobs that wait.
-- in: seqs, the time from which on each is kept, now, reason    out: true where others depend on the job    index: the primary key
UPDATE jobs SET
  state = 'cancelled', token = 0, state_at = $3, finished_at = $3, kept_from = gone.kept_from, cancel_reason = $4,
  last_event = last_event + 1, state_event = last_event + 1
FROM unnest($1::bigint[], $2::bigint[]) AS gone (seq, kept_from)
WHERE jobs.seq = gone.seq
RETURNING awaited IS NOT NULL
