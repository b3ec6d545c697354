-- Gives a group another place and cost, which its first job has, and notes by which limit key it is kept back.
-- in: id, turn, rank, seq, slots, units, closed_by    index: the primary key
UPDATE key_groups SET turn = ?2, rank = ?3, seq = ?4, slots = ?5, units = ?6, closed_by = ?7 WHERE id = ?1
