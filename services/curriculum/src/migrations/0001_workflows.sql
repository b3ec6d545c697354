-- A workflow as it was given, in `body`. `generated` counts the modules whose lesson plans are saved; they are made in
-- order, so it is also the index of the next one. Whether that one is being made is its job's to tell.
CREATE TABLE curriculum_workflows (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    modules BIGINT NOT NULL,
    lessons BIGINT NOT NULL,
    step9_complete BIGINT NOT NULL,
    generated BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX curriculum_workflows_by_creation ON curriculum_workflows (created_at, id);

-- The lesson plans of a module: a row holds all of its lessons, so there is no module that is half made. `worked_ms` is
-- the time that writing them took, waits between attempts left out; new estimates come from it.
CREATE TABLE curriculum_modules (
    workflow_id TEXT NOT NULL REFERENCES curriculum_workflows (id),
    module_index BIGINT NOT NULL,
    plan TEXT NOT NULL,
    lessons BIGINT NOT NULL,
    minutes BIGINT NOT NULL,
    generator TEXT NOT NULL,
    worked_ms BIGINT NOT NULL,
    generated_at BIGINT NOT NULL,
    PRIMARY KEY (workflow_id, module_index)
);
CREATE INDEX curriculum_modules_by_generator ON curriculum_modules (generator, generated_at);
