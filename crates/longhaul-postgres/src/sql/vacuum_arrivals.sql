-- Frees the pages of the rows that folds have taken out, unless somebody else is at it.
-- Not in a transaction; needs to own the tables, or they stay as they are, with a warning.
VACUUM (SKIP_LOCKED) arrivals, slot_changes, rate_changes
