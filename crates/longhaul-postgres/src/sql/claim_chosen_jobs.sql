-- Gives available jobs that were chosen to a worker, and answers as claim_jobs.sql. What another process holds is passed over.
-- Their use of keys is noted here (see 0010_noted.sql).
-- in: seqs, now, worker, lease_until, number of the claim, true where the queue has limits (or null)
-- out: as claim_jobs.sql    index: the primary key
WITH next AS (
  SELECT j.*
  FROM unnest($1::bigint[]) AS chosen (number)
  -- By the number alone, and then by the place: a condition on the state would let the planner take an index of available jobs.
  CROSS JOIN LATERAL (
    SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
      log_event, last_event, seq, rank, policy, run_at, deadline, state, limit_key, ctid AS place
    FROM jobs WHERE jobs.seq = chosen.number OFFSET 0
    FOR UPDATE SKIP LOCKED
  ) AS j
  WHERE j.state = 'available'
), taken AS (
  UPDATE jobs SET
    state = 'running',
    token = greatest(jobs.token + 1, (extract(epoch FROM clock_timestamp()) * 4000000)::bigint + floor(random() * 4)::bigint),
    claim = $5, worker = $3, started_at = $2, state_at = $2, lease_until = $4,
    attempt = jobs.attempt + 1,
    last_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    state_event = jobs.last_event + 1 + (jobs.log_event > 0)::int,
    log_event = 0, limited = $6,
    noted = CASE WHEN jobs.limit_key IS NOT NULL THEN jobs.noted IS NOT TRUE END
  FROM next
  WHERE jobs.ctid = next.place
  RETURNING next.id, next.kind, next.version, next.queue, next.args, next.attempt, next.max_attempts, next.timeout,
    next.backoff, next.created_at, next.labels, next.steps, next.log_event, next.last_event, next.seq, next.rank,
    jobs.token, next.policy, next.run_at, next.deadline, next.limit_key
), noted AS (
  INSERT INTO slot_changes (limit_key, change) SELECT limit_key, slots_of(policy) FROM taken WHERE limit_key IS NOT NULL
)
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps, log_event, last_event,
  seq, rank, token, policy, run_at, deadline
FROM taken
