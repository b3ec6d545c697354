-- The groups of a queue and its keys that are kept back.
-- in: limit_key, queue    out: as groups_of_lane.sql    index: key_groups_by_keys
SELECT id, queue, kind, version, limit_key, turn, rank, seq, slots, units, 1 FROM key_groups
WHERE several = (instr(?1, ',') > 0) AND limit_key = ?1 AND queue = ?2 AND closed_by IS NOT NULL
