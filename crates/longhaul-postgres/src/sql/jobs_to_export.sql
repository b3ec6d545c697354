-- The last job of the next page, which ends after so many jobs or bytes.
-- in: after, jobs, bytes    out: seq (null: there is none)    index: the primary key
SELECT max(seq) FROM (
  SELECT seq, bytes, sum(bytes) OVER (ORDER BY seq) AS total FROM (
    SELECT seq, log_bytes + octet_length(args) + coalesce(octet_length(output), 0) AS bytes
    FROM jobs WHERE seq > $1 ORDER BY seq LIMIT $2
  ) AS page
) AS summed WHERE total - bytes < $3::bigint
