-- The transaction that claimed a running job: a claim whose answer was lost is taken back by it. Fields that no statement
-- filters or orders by, as JSON. The log's rows and their bytes, and the number of the last one that had to go.
ALTER TABLE jobs
  ADD COLUMN claim BIGINT,
  ADD COLUMN policy TEXT,
  ADD COLUMN log_rows BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN log_bytes BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN log_gap BIGINT NOT NULL DEFAULT 0;

-- When finished jobs of a queue and state may be due for pruning: a sweep looks at none before that.
ALTER TABLE counts ADD COLUMN prune_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX counts_prunable ON counts (prune_at) WHERE state IN ('completed', 'failed', 'cancelled');
CREATE INDEX pauses_over ON pauses (until);
