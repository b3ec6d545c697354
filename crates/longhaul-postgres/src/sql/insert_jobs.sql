-- Creates jobs, in order; leaves out those whose id exists. One that is cancelled from the beginning was dropped.
-- in: a list for each column of `new` below, but that the time now is the twentieth
-- out: id, seq    index: jobs_by_id
INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
                  unique_key, unique_period, parent, backoff, labels, args, limit_key, batch, children_total,
                  children_completed, children_failed, children_cancelled, created_at, state_at, policy, hold, expires_at, deadline, cancel_reason,
                  finished_at, kept_from)
SELECT nextval('numbers'), id, kind, version, queue, state, priority, place(rank, limit_key), run_at, max_attempts, max_crashes, timeout,
       unique_key, unique_period, parent, backoff, labels, args, limit_key, batch, children, children, children,
       children, $20::bigint, $20::bigint, policy, hold, expires_at, deadline, CASE WHEN state = 'cancelled' THEN 'dropped' END,
       CASE WHEN state = 'cancelled' THEN $20::bigint END, CASE WHEN state = 'cancelled' THEN $20::bigint END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::text[], $15::text[],
            $16::text[], $17::text[], $18::text[], $19::bigint[], $21::bigint[], $22::text[],
            $23::text[], $24::bigint[], $25::bigint[])
  AS new (id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout, unique_key,
          unique_period, parent, backoff, labels, args, limit_key, batch, children, policy, hold, expires_at, deadline)
ON CONFLICT (id) DO NOTHING
RETURNING id, seq
