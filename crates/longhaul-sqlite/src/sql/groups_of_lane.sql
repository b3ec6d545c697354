-- The groups of a lane that no limit key is known to keep back, behind a place; and whether others of the same queue and keys
-- are kept back.
-- in: queue, kind, version, turn, tie, rank, seq, limit, whether any group may be kept back
-- out: id, queue, kind, version, limit_key, turn, rank, seq, slots, units, 1 or 0    index: key_groups_open
SELECT id, queue, kind, version, limit_key, turn, rank, seq, slots, units, ?9 AND EXISTS (
    SELECT 1 FROM key_groups o
    WHERE o.several = g.several AND o.limit_key = g.limit_key AND o.queue = g.queue AND o.closed_by IS NOT NULL)
FROM key_groups g INDEXED BY key_groups_open
WHERE closed_by IS NULL AND queue = ?1 AND kind = ?2 AND version = ?3 AND (turn, tie, rank, seq) > (?4, ?5, ?6, ?7)
ORDER BY turn, tie, rank, seq LIMIT ?8
