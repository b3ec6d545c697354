-- Drops the oldest rows of a job's log, and notes the number of the last one that is gone.
-- in: job, how many rows and bytes are kept    index: the primary keys
WITH log AS MATERIALIZED (
  SELECT seq, octet_length(body) AS size, row_number() OVER newest AS n, sum(octet_length(body)) OVER newest AS bytes
  FROM events WHERE job = $1
  WINDOW newest AS (ORDER BY seq DESC)
), cut AS MATERIALIZED (
  SELECT max(seq) AS last FROM log WHERE n > $2 OR bytes > $3
), gone AS (
  DELETE FROM events USING cut WHERE events.job = $1 AND events.seq <= cut.last
), kept AS (
  SELECT count(*) AS n, coalesce(sum(size), 0)::bigint AS bytes FROM log, cut WHERE cut.last IS NULL OR log.seq > cut.last
)
UPDATE jobs SET log_gap = coalesce(cut.last, log_gap), log_rows = kept.n, log_bytes = kept.bytes
FROM kept, cut WHERE jobs.seq = $1
