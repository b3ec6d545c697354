-- The user whose token a workflow came with, so that it is found when the user is erased; null without one.
ALTER TABLE curriculum_workflows ADD COLUMN owner TEXT;
