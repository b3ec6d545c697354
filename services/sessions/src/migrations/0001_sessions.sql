-- `goals` and `agenda` are JSON, as they came: a text or a list of texts. `proficiency` is 0 to 100.
CREATE TABLE skills (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    type TEXT NOT NULL,
    proficiency DOUBLE PRECISION NOT NULL,
    description TEXT,
    experience TEXT,
    goals TEXT,
    agenda TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX skills_by_user ON skills (user_id, created_at, id);

-- `focus_keywords` and `metadata` are JSON lists; `metadata` is what the dispatch was answered, `generator` what made
-- it. `words` is what a search looks into, in lower case. Where the dispatch stands is its job's to tell.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    teach_skill_id TEXT,
    focus_keywords TEXT NOT NULL,
    date TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time TEXT NOT NULL,
    skill_category TEXT NOT NULL,
    is_teaching BIGINT NOT NULL,
    is_public BIGINT NOT NULL,
    max_participants BIGINT,
    status TEXT NOT NULL,
    metadata TEXT NOT NULL,
    generator TEXT,
    words TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX sessions_public ON sessions (created_at, id) WHERE is_public = 1;

-- The host and the participants of each session, so that a user's sessions are one range of one index.
CREATE TABLE session_members (
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    session_created_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, user_id)
);
CREATE INDEX session_members_by_user ON session_members (user_id, session_created_at, session_id);
