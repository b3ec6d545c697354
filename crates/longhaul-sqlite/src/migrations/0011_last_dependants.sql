-- The newest number at the end of a job that some of its dependants are still to count: one with a higher number came later, when the job
-- had been retried by hand, and waits for the next end. Null is of a process that does not note it: all of them.
ALTER TABLE ended_dependencies ADD COLUMN last INTEGER;
