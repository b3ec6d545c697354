-- What a worker must know of a job that it is about to be given.
-- in: seq
-- out: id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
--      log_event, last_event
-- index: the primary key
SELECT id, kind, version, queue, args, attempt, max_attempts, timeout, backoff, created_at, labels, steps,
  log_event, last_event
FROM jobs WHERE seq = ?1
