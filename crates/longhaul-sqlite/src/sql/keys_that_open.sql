-- The limit keys and prefixes whose groups are to be looked at again.
-- in: now, limit    out: key, looked_up_to    index: limit_keys_opening
SELECT key, looked_up_to FROM limit_keys WHERE opens_at <= ?1 ORDER BY opens_at LIMIT ?2
