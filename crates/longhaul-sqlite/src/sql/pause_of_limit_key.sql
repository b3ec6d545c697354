-- When the pause of a limit key ends, where it goes on.
-- in: limit_key, now    out: until    index: the primary key
SELECT until FROM pauses WHERE limit_key = ?1 AND until > ?2
