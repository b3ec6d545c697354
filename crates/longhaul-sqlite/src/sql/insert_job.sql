-- Creates a job; changes nothing where the id exists.
-- in: seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, now, timeout,
--     unique_key, unique_period, parent, backoff, labels, args, limit_key, batch, children (0 or null), policy
-- index: jobs_by_id
INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes,
                  created_at, state_at, timeout, unique_key, unique_period, parent, backoff, labels, args, room,
                  limit_key, batch, children_total, children_completed, children_failed, children_cancelled, policy)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
        x'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',
        ?20, ?21, ?22, ?22, ?22, ?22, ?23)
ON CONFLICT (id) DO NOTHING
