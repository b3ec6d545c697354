-- The kind that follows another, and stands before a third, among a queue's groups that no limit key keeps back: of the lanes of
-- a kind, those of jobs that prefer something.
-- in: queue, kind, kind    out: kind    index: key_groups_open, one step
SELECT kind FROM key_groups WHERE closed_by IS NULL AND queue = ?1 AND kind > ?2 AND kind < ?3 ORDER BY kind LIMIT 1
