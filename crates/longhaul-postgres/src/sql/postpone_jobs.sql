-- Lets available jobs of paused limit keys wait for the pauses' ends.
-- in: seqs, now, run_ats, ranks    index: the primary key
UPDATE jobs SET
  state = 'scheduled', state_at = $2, run_at = later.run_at, rank = later.rank,
  last_event = last_event + 1, state_event = last_event + 1
FROM unnest($1::bigint[], $3::bigint[], $4::bigint[]) AS later (number, run_at, rank)
WHERE jobs.seq = later.number
