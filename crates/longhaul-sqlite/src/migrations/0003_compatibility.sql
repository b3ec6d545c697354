-- Which older releases may go on working on this file while a newer one does, or has: see `open.rs`. One row.

CREATE TABLE compatibility (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- The oldest schema version that a binary must know.
  oldest INTEGER NOT NULL
);
