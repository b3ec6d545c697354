-- Creates a group.
-- in: limit_key, queue, kind, version, turn, tie, rank, seq, slots, units
INSERT INTO key_groups (limit_key, several, queue, kind, version, turn, tie, rank, seq, slots, units)
VALUES (?1, instr(?1, ',') > 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
