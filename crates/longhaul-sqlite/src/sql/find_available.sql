-- An available job, as far as its end must know it: for one whose row a claim could not read.
-- in: seq
-- out: as find_lease.sql
-- index: the primary key
SELECT seq, queue, attempt, crashes, max_crashes, interruptions, cancel_by, run_at, last_event, log_event, log_entries,
       log_bytes, priority, errors, limit_key, batch, kind, started_at, steps,
       version, iif(limit_key IS NULL, NULL, policy) AS policy, held, cancel_reason, ends_at,
       unique_key, unique_period, iif(unique_key IS NULL, NULL, policy) AS beside
FROM jobs WHERE seq = ?1 AND state = 'available'
