-- Tasks whose user was erased. A run that was cut off from its job may come late with a lesson: it finds its task here, and
-- saves nothing. The ids are of chance, and name nobody.
CREATE TABLE lesson_erasures (
    task_id TEXT PRIMARY KEY,
    erased_at BIGINT NOT NULL
);
CREATE INDEX lesson_erasures_by_age ON lesson_erasures (erased_at);
