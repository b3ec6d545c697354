-- How many children a job was imported with as unfinished that have not been imported yet. These are counted already; any other child that
-- is imported joins those of its parent.
CREATE TABLE expected_children (
  job INTEGER PRIMARY KEY,
  children INTEGER NOT NULL
);
