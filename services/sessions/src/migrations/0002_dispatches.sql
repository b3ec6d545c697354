-- `revision` counts the changes of a row, so that a change that was made of what has been read since is seen and made anew.
-- `dispatch` is the number of the dispatch that counts: a change of skill or keywords begins the next one.
ALTER TABLE sessions ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN dispatch BIGINT NOT NULL DEFAULT 0;
