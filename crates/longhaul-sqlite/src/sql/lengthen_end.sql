-- Has the last end of a job that was put off count for those dependants, too, that have come since, where it is the same.
-- in: job, outcome, the newest number    index: ended_dependencies_of
UPDATE ended_dependencies SET last = ?3
WHERE n = (SELECT max(n) FROM ended_dependencies WHERE job = ?1) AND outcome = ?2 AND last IS NOT NULL
