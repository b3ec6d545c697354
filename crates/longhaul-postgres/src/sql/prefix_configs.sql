-- The limits of all prefixes.
-- out: prefix with its `*`, config    index: key_configs_of_prefixes
SELECT key, config FROM key_configs WHERE right(key, 1) = '*'
