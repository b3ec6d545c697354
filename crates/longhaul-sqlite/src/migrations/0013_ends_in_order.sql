-- Ends of jobs that some of their dependants have not counted yet, in the order in which they came: a job that was retried by hand may end
-- anew before all have counted its first end, and each dependant counts the end that it waited for. `last` is the newest number at that
-- end. Null is of a process that does not note it: all of them.
CREATE TABLE ends_in_order (
  n INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  last INTEGER
);
INSERT INTO ends_in_order (job, outcome, last) SELECT job, outcome, last FROM ended_dependencies ORDER BY job;
-- The statements of the release before this one fit the new table, too.
DROP TABLE ended_dependencies;
ALTER TABLE ends_in_order RENAME TO ended_dependencies;
CREATE INDEX ended_dependencies_of ON ended_dependencies (job, n);
