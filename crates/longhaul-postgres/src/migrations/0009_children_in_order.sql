-- The children of a job in their order, so that a page of very many reads no more rows than it has. It does what `jobs_by_parent` does
-- for the release before, too.
CREATE INDEX jobs_of_parent ON jobs (parent, seq) WHERE parent IS NOT NULL;
DROP INDEX jobs_by_parent;
