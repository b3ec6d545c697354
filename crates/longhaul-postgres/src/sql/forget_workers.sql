-- Drops workers that were not heard of for a day. Their times have no index, which each heartbeat would have to keep:
-- this is done rarely.
-- in: now (null: the server's time)
DELETE FROM workers WHERE id = ANY (ARRAY(
  SELECT id FROM workers
  WHERE seen_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) - 86400000
  FOR UPDATE SKIP LOCKED))
