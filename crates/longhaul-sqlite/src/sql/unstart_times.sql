-- Takes back that a job has been started, where a claim was the first: it may expire again.
-- in: seq, token    index: the primary key
UPDATE jobs SET
  ends_at = min(policy ->> 'expires_at', coalesce(policy ->> 'deadline', policy ->> 'expires_at')),
  policy = json_remove(policy, '$.first_token')
WHERE seq = ?1 AND iif(json_valid(policy), policy ->> 'first_token', NULL) = ?2
