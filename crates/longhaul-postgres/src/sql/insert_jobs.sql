-- Creates jobs, in order; leaves out those whose id exists. Some are cancelled from the beginning: a dropped one with its first
-- event, and one of which a dependency has failed with its second, as if it had waited before.
-- in: a list for each column of `new` below, but that the time now is the twentieth; the last six may be shorter
-- out: id, seq    index: jobs_by_id
INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout,
                  unique_key, unique_period, parent, backoff, labels, args, limit_key, batch, children_total,
                  children_completed, children_failed, children_cancelled, created_at, state_at, policy, hold, expires_at, deadline,
                  cancel_reason, finished_at, kept_from, last_event, state_event, depends_on, waits_for, dependencies_left, forked_from)
SELECT nextval('numbers'), id, kind, version, queue, state, priority, place(rank, limit_key), run_at, max_attempts, max_crashes, timeout,
       unique_key, unique_period, parent, backoff, labels, args, limit_key, batch, children, children, children,
       children, $20::bigint, $20::bigint, policy, hold, expires_at, deadline,
       cancel_reason, CASE WHEN state = 'cancelled' THEN $20::bigint END, kept_from,
       CASE WHEN cancel_reason = 'dependency' THEN 2 ELSE 1 END, CASE WHEN cancel_reason = 'dependency' THEN 2 ELSE 1 END,
       depends_on, waits_for, dependencies_left, forked_from
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::text[], $15::text[],
            $16::text[], $17::text[], $18::text[], $19::bigint[], $21::bigint[], $22::text[],
            $23::text[], $24::bigint[], $25::bigint[], $26::text[], $27::bigint[], $28::text[], $29::text[], $30::bigint[], $31::text[])
  AS new (id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, timeout, unique_key,
          unique_period, parent, backoff, labels, args, limit_key, batch, children, policy, hold, expires_at, deadline,
          cancel_reason, kept_from, depends_on, waits_for, dependencies_left, forked_from)
ON CONFLICT (id) DO NOTHING
RETURNING id, seq
