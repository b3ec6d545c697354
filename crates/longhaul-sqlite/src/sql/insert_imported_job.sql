-- Writes a job that another store has kept.
-- in: named as the columns; children is the four counts or nulls    index: jobs_by_id
INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, worker, attempt, max_attempts, crashes,
                  max_crashes, interruptions, last_event, state_event, state_at, log_event, steps, created_at, started_at,
                  finished_at, kept_from, timeout, unique_key, unique_period, parent, backoff, labels, errors, progress, output,
                  args, room, limit_key, batch, children_total, children_completed, children_failed, children_cancelled, policy,
                  log_entries, log_bytes, log_gap, ends_at, cancel_reason)
VALUES (:seq, :id, :kind, :version, :queue, :state, :priority, :rank, :run_at, :worker, :attempt, :max_attempts, :crashes,
        :max_crashes, :interruptions, :last_event, :state_event, :state_at, :log_event, :steps, :created_at, :started_at,
        :finished_at, :kept_from, :timeout, :unique_key, :unique_period, :parent, :backoff, :labels, :errors, :progress, :output,
        :args, zeroblob(48), :limit_key, :batch, :children_total, :children_completed, :children_failed, :children_cancelled,
        :policy, :log_entries, :log_bytes, :log_gap, :ends_at, :cancel_reason)
