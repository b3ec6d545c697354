-- From when retention counts for the oldest finished job of each queue and state.
-- in: queues, states    out: number from 1, kept_from (null: none)    index: jobs_finished, one step for each
SELECT history.n, (
  SELECT kept_from FROM jobs
  WHERE jobs.queue = history.queue AND jobs.state = history.state AND kept_from IS NOT NULL
  ORDER BY kept_from LIMIT 1
)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS history (queue, state, n)
