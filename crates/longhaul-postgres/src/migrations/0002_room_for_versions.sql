-- A job's row is written at its creation, its claim and its end, and each version has an entry of its own in these two
-- indexes. Room for all three keeps their pages from being split again and again.
ALTER INDEX jobs_pkey SET (fillfactor = 40);
ALTER INDEX jobs_by_id SET (fillfactor = 40);

-- The oldest schema version that a binary must know to go on with this one: see `migrate.rs`.
ALTER TABLE schema_version ADD COLUMN oldest INT NOT NULL DEFAULT 1;
