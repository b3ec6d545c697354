CREATE TABLE courses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX courses_by_owner ON courses (owner, created_at);

-- What a processing came to is kept here; where it stands is not: that is the job's to tell. `run` numbers a
-- material's processings from 1 and names the newest one's job; `indexed_run` is the one that search reads.
CREATE TABLE materials (
    id TEXT PRIMARY KEY,
    course_id TEXT NOT NULL REFERENCES courses (id),
    name TEXT NOT NULL,
    file_path TEXT NOT NULL,
    file_type TEXT NOT NULL,
    file_size BIGINT NOT NULL,
    run BIGINT NOT NULL,
    indexed_run BIGINT,
    chunks BIGINT NOT NULL,
    terms BIGINT NOT NULL,
    embedding_model TEXT,
    processed_at BIGINT,
    error_message TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX materials_by_course ON materials (course_id, created_at);

-- Pages that OCR has read, until the run that reads them is saved: a crash at page 9 resumes at page 9.
CREATE TABLE material_pages (
    material_id TEXT NOT NULL,
    run BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (material_id, run, number)
);

CREATE TABLE material_chunks (
    material_id TEXT NOT NULL,
    run BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (material_id, run, number)
);

-- Which chunks of a material hold a term. `hits` is a JSON list of numbers, three for each chunk: its number, how
-- often the term is in it, and how many terms it has. A `part` is a thousand chunks, which bounds a row.
CREATE TABLE material_postings (
    course_id TEXT NOT NULL,
    term TEXT NOT NULL,
    material_id TEXT NOT NULL,
    run BIGINT NOT NULL,
    part BIGINT NOT NULL,
    hits TEXT NOT NULL,
    PRIMARY KEY (course_id, term, material_id, run, part)
);
CREATE INDEX material_postings_by_material ON material_postings (material_id, run, part, term);

-- `vector` is its numbers as little-endian 32-bit floats, scaled to length 1.
CREATE TABLE material_vectors (
    material_id TEXT NOT NULL,
    run BIGINT NOT NULL,
    model TEXT NOT NULL,
    number BIGINT NOT NULL,
    dimension BIGINT NOT NULL,
    vector BYTEA NOT NULL,
    PRIMARY KEY (material_id, run, model, number)
);

CREATE TABLE course_chats (
    id TEXT PRIMARY KEY,
    course_id TEXT NOT NULL REFERENCES courses (id),
    message TEXT NOT NULL,
    response TEXT NOT NULL,
    sources TEXT NOT NULL,
    generator TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX course_chats_by_course ON course_chats (course_id, created_at);
