-- Drops keys, tombstones, pauses and samples whose time is over.
-- in: now, limit    index: each table's own on its time
WITH free AS (
  DELETE FROM unique_keys WHERE key = ANY (ARRAY(
    SELECT key FROM unique_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
), old AS (
  DELETE FROM idempotency_keys WHERE key = ANY (ARRAY(
    SELECT key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
), dust AS (
  DELETE FROM tombstones WHERE id = ANY (ARRAY(
    SELECT id FROM tombstones WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
), spent AS (
  DELETE FROM samples WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM samples WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
)
DELETE FROM pauses WHERE limit_key = ANY (ARRAY(
  SELECT limit_key FROM pauses WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))
