-- The configured prefix that is the last in order up to a text.
-- in: text    out: prefix, config    index: key_configs_by_prefix
SELECT prefix, config FROM key_configs WHERE prefix <= ?1 ORDER BY prefix DESC LIMIT 1
