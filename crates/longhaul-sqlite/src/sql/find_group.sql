-- A group, with the place of its first job, and whether it is kept back.
-- in: limit_key, queue, kind, version    out: id, rank, seq, turn, 1 or 0    index: key_groups_by_keys
SELECT id, rank, seq, turn, closed_by IS NOT NULL FROM key_groups
WHERE several = (instr(?1, ',') > 0) AND limit_key = ?1 AND queue = ?2 AND kind = ?3 AND version = ?4
