-- Notes that a key may admit jobs: its limits are others, or its pause has ended.
-- in: key
INSERT INTO slot_changes (limit_key, change) VALUES ($1, 0)
