-- A subject and topic of which there are lessons, and the number of the newest: `newest` 0 is version 1.0. Whoever saves
-- a lesson changes this row first, so that two that save at once follow each other.
CREATE TABLE lesson_topics (
    subject_key TEXT NOT NULL,
    topic_key TEXT NOT NULL,
    newest BIGINT NOT NULL,
    search_text TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (subject_key, topic_key)
);

-- Every lesson that was ever made. Its task saves it once; the task itself is a job and has no row.
CREATE TABLE lessons (
    task_id TEXT PRIMARY KEY,
    subject_key TEXT NOT NULL,
    topic_key TEXT NOT NULL,
    number BIGINT NOT NULL,
    subject TEXT NOT NULL,
    topic TEXT NOT NULL,
    user_id TEXT NOT NULL,
    title TEXT NOT NULL,
    shloka TEXT NOT NULL,
    translation TEXT NOT NULL,
    explanation TEXT NOT NULL,
    activity TEXT NOT NULL,
    question TEXT NOT NULL,
    wikipedia_info TEXT NOT NULL,
    generator TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (subject_key, topic_key, number)
);

-- How long the newest lessons of a generator took.
CREATE INDEX lessons_by_generator ON lessons (generator, created_at);
