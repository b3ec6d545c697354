-- Opens the gates of keys that begin alike, for their limits may be others now.
-- in: beginning, now, the most of them    out: queue of each
-- index: none, for it is done when limits are set; all gates are looked at
UPDATE limit_gates SET opens_at = $2 WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM limit_gates WHERE starts_with(key, $1) AND (opens_at IS NULL OR opens_at > $2) LIMIT $3))
RETURNING queue
