-- The lowest version above one, and up to another, of which a queue has groups of a kind that no limit key keeps back.
-- in: queue, kind, above, up to    out: version    index: key_groups_open, one step
SELECT version FROM key_groups
WHERE closed_by IS NULL AND queue = ?1 AND kind = ?2 AND version > ?3 AND version <= ?4
ORDER BY version LIMIT 1
