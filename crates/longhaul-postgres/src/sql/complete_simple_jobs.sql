-- Completes runs of which nobody else must hear: no unique key, no parent, no children, no dependants, nobody asked to stop. The others, and those
-- whose lease is lost, are left alone and not answered.
-- Their use of keys is noted here (see 0010_noted.sql).
-- in: ids, tokens, outputs, now    out: id, token, queue, kind, attempt, started_at, true where it has limit keys, true where its queue may have limits
-- index: jobs_by_id (see finish_and_claim.sql on `lease_until`); the primary key of steps, where there are any (see there on `forgotten`)
WITH ended AS (
  UPDATE jobs SET
    state = 'completed', state_at = $4, finished_at = $4, kept_from = $4, output = done.output, lease_until = NULL,
    last_event = last_event + 2, state_event = last_event + 2,
    noted = CASE WHEN limit_key IS NOT NULL THEN noted IS NOT TRUE END
  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS done (id, token, output)
  WHERE jobs.id = done.id AND jobs.token = done.token AND jobs.lease_until IS NOT NULL
    AND jobs.unique_key IS NULL AND jobs.batch IS NULL AND jobs.cancel_by IS NULL
    AND jobs.awaited IS NULL AND jobs.children_total IS NULL
  RETURNING jobs.id, jobs.token, queue, kind, attempt, started_at, seq, steps, limit_key, limited, policy
), noted AS (
  INSERT INTO slot_changes (limit_key, change) SELECT limit_key, -slots_of(policy) FROM ended WHERE limit_key IS NOT NULL
), forgotten AS (
  UPDATE steps SET output = '' WHERE ctid = ANY (ARRAY(
    SELECT step.ctid FROM ended CROSS JOIN LATERAL (SELECT ctid FROM steps WHERE job = ended.seq OFFSET 0) AS step
    WHERE ended.steps > 0))
)
SELECT id, token, queue, kind, attempt, started_at, limit_key IS NOT NULL, limited IS NOT NULL FROM ended
