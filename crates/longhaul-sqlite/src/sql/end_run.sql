-- Ends a run other than by completion.
-- in: seq, state, now, rank, run_at, attempt, interruptions, crashes, errors, finished_at, last_event,
--     whether the token is kept (1) or forgotten (0), kept_from, cancel_reason
-- index: the primary key
UPDATE jobs SET
  state = ?2, state_at = ?3, rank = ?4, run_at = ?5, attempt = ?6, interruptions = ?7, crashes = ?8, errors = ?9,
  finished_at = ?10, kept_from = ?13, cancel_reason = ?14, held = NULL, lease_until = NULL, cancel_by = NULL, last_event = ?11,
  state_event = ?11, token = token * ?12
WHERE seq = ?1
