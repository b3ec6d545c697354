-- Completes runs whose ends others are to hear of: parents and dependants. Left alone, and not answered, are those that have a unique
-- key or children of their own, were asked to stop, whose parent ends in the same call, or whose lease is lost.
-- in: ids, tokens, outputs, now, ids of all runs that end
-- out: as complete_simple_jobs.sql; parent that counts it, true where others depend on it
-- index: jobs_by_id and the primary key; the primary key of steps (see complete_simple_jobs.sql)
WITH ended AS (
  UPDATE jobs SET
    state = 'completed', state_at = $4, finished_at = $4, kept_from = $4, output = done.output, lease_until = NULL,
    last_event = last_event + 2, state_event = last_event + 2
  FROM unnest($1::text[], $2::bigint[], $3::text[]) AS done (id, token, output)
  WHERE jobs.id = done.id AND jobs.token = done.token AND jobs.lease_until IS NOT NULL
    AND jobs.unique_key IS NULL AND jobs.cancel_by IS NULL AND jobs.children_total IS NULL
    AND ((SELECT parent.id FROM jobs AS parent WHERE parent.seq = jobs.batch) = ANY ($5::text[])) IS NOT TRUE
  RETURNING jobs.id, jobs.token, queue, kind, attempt, started_at, jobs.seq, steps, limit_key, limited, batch, awaited
), forgotten AS (
  UPDATE steps SET output = '' WHERE ctid = ANY (ARRAY(
    SELECT step.ctid FROM ended CROSS JOIN LATERAL (SELECT ctid FROM steps WHERE job = ended.seq OFFSET 0) AS step
    WHERE ended.steps > 0))
)
SELECT id, token, queue, kind, attempt, started_at, limit_key IS NOT NULL, limited IS NOT NULL, batch, awaited IS NOT NULL FROM ended
