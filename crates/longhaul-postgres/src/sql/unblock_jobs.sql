-- Ends the waits of blocked jobs.
-- in: now; seqs, states, run_ats, ranks    index: the primary key
UPDATE jobs SET
  state = next.state, state_at = $1, run_at = next.run_at, rank = place(next.rank, limit_key),
  waits_for = NULL, wakes_at = NULL, dependencies_left = NULL, last_event = last_event + 1, state_event = last_event + 1
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) AS next (seq, state, run_at, rank)
WHERE jobs.seq = next.seq
