-- The first group of a lane and a cost that a limit key keeps back.
-- in: key, slots, units, queue, kind, version    out: as groups_of_lane.sql    index: key_groups_closed, one step
SELECT id, queue, kind, version, limit_key, turn, rank, seq, slots, units, 1 FROM key_groups
WHERE closed_by = ?1 AND slots = ?2 AND units = ?3 AND queue = ?4 AND kind = ?5 AND version = ?6
ORDER BY turn, tie, rank, seq LIMIT 1
