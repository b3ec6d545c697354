-- Notes that a job has been started, which does not expire any more.
-- in: seq, token    out: policy    index: the primary key
UPDATE jobs SET
  ends_at = policy ->> 'deadline',
  policy = iif(policy ->> 'expires_at' IS NULL OR policy ->> 'first_token' IS NOT NULL, policy,
               json_set(policy, '$.first_token', ?2))
WHERE seq = ?1 RETURNING policy
