-- Notes what a blocked job waits for.
-- in: job, waits_for, wakes_at, dependencies_left    index: the primary key
INSERT OR REPLACE INTO waits (job, waits_for, wakes_at, dependencies_left) VALUES (?1, ?2, ?3, ?4)
