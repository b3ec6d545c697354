-- The cost that follows another among the groups that a limit key keeps back.
-- One more is compared with >=: with >, SQLite passes over all that is equal, one by one.
-- in: key, slots, units    out: slots, units    index: key_groups_closed, one step
SELECT slots, units FROM key_groups WHERE closed_by = ?1 AND (slots, units) >= (?2, ?3 + 1) ORDER BY slots, units LIMIT 1
