-- Replies of GitHub's, so that asking again costs no quota while they hold. Found by url; cleared by age.
CREATE TABLE github_etags (
    url TEXT PRIMARY KEY,
    form BIGINT NOT NULL,
    etag TEXT NOT NULL,
    body TEXT NOT NULL,
    next_url TEXT,
    fetched_at BIGINT NOT NULL
);
CREATE INDEX github_etags_by_age ON github_etags (fetched_at);

-- Calls made in an hour (hours since 1970), where GITHUB_RATE_LIMIT is set.
CREATE TABLE github_calls (
    hour BIGINT PRIMARY KEY,
    calls BIGINT NOT NULL
);

-- Who asked for which task: what it is about, and whose limit of tasks it counts against until it has ended. What
-- became of a task is its job's to tell.
CREATE TABLE github_tasks (
    task_id TEXT PRIMARY KEY,
    login TEXT,
    caller TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX github_tasks_by_login ON github_tasks (login, created_at);
CREATE INDEX github_tasks_by_caller ON github_tasks (caller);
CREATE INDEX github_tasks_by_age ON github_tasks (created_at);

-- Results, for longer than their jobs are kept.
CREATE TABLE github_results (
    task_id TEXT PRIMARY KEY,
    login TEXT NOT NULL,
    result TEXT NOT NULL,
    analyzed_at BIGINT NOT NULL
);
CREATE INDEX github_results_by_login ON github_results (login, analyzed_at);
