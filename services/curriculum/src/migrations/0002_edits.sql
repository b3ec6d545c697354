-- What a person may do to a workflow: edit it, stop its generation, have a lesson written anew.
-- `title` is the one of `body`, for lists ('' in rows of before: read it from the body). `revision` counts the edits, and
-- `modules_revision` is the one in which the modules changed last. `halted` is 1 from a cancel until the next start.
ALTER TABLE curriculum_workflows ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE curriculum_workflows ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE curriculum_workflows ADD COLUMN modules_revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE curriculum_workflows ADD COLUMN halted BIGINT NOT NULL DEFAULT 0;

-- Counts the lessons of the module that were written anew.
ALTER TABLE curriculum_modules ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
