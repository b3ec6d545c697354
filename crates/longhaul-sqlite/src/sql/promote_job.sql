-- Makes a due job available.
-- in: seq, now    out: id, kind, attempt
UPDATE jobs SET state = 'available', state_at = ?2, last_event = last_event + 1, state_event = last_event + 1
WHERE seq = ?1
RETURNING id, kind, attempt
