-- The first group of a cost that a limit key keeps back, in the lane that follows another.
-- One more is compared with >=: with >, SQLite passes over all that is equal, one by one.
-- in: key, slots, units, queue, kind, version    out: as groups_of_lane.sql    index: key_groups_closed, one step
SELECT id, queue, kind, version, limit_key, turn, rank, seq, slots, units, 1 FROM key_groups
WHERE closed_by = ?1 AND slots = ?2 AND units = ?3 AND (queue, kind, version) >= (?4, ?5, ?6 + 1)
ORDER BY queue, kind, version, turn, tie, rank, seq LIMIT 1
