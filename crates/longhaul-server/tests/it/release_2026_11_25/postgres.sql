--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: longhaul; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA longhaul;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: count_deltas; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.count_deltas (
    queue text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    n bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='5000');


--
-- Name: counts; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.counts (
    queue text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    n bigint NOT NULL
);


--
-- Name: events; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.events (
    job bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    attempt bigint NOT NULL,
    body text NOT NULL
);


--
-- Name: idempotency_keys; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.idempotency_keys (
    key text NOT NULL COLLATE pg_catalog."C",
    job_id text NOT NULL,
    fingerprint text NOT NULL,
    expires_at bigint NOT NULL
);


--
-- Name: jobs; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.jobs (
    seq bigint NOT NULL,
    token bigint DEFAULT 0 NOT NULL,
    version bigint NOT NULL,
    priority bigint NOT NULL,
    rank bigint NOT NULL,
    run_at bigint NOT NULL,
    lease_until bigint,
    cancel_by bigint,
    attempt bigint DEFAULT 0 NOT NULL,
    max_attempts bigint NOT NULL,
    crashes bigint DEFAULT 0 NOT NULL,
    max_crashes bigint NOT NULL,
    interruptions bigint DEFAULT 0 NOT NULL,
    last_event bigint DEFAULT 1 NOT NULL,
    state_event bigint DEFAULT 1 NOT NULL,
    state_at bigint NOT NULL,
    log_event bigint DEFAULT 0 NOT NULL,
    steps bigint DEFAULT 0 NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    kept_from bigint,
    timeout bigint,
    unique_period bigint,
    batch bigint,
    children_total bigint,
    children_completed bigint,
    children_failed bigint,
    children_cancelled bigint,
    id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    queue text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    worker text,
    unique_key text COLLATE pg_catalog."C",
    limit_key text COLLATE pg_catalog."C",
    parent text COLLATE pg_catalog."C",
    backoff text,
    labels text,
    errors text,
    last_error text,
    progress text,
    output text,
    args text NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000', autovacuum_analyze_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');


--
-- Name: numbers; Type: SEQUENCE; Schema: longhaul; Owner: -
--

CREATE SEQUENCE longhaul.numbers
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: outbox; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.outbox (
    id text NOT NULL,
    jobs text NOT NULL
);


--
-- Name: pauses; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.pauses (
    limit_key text NOT NULL COLLATE pg_catalog."C",
    until bigint NOT NULL
);


--
-- Name: queues; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.queues (
    name text NOT NULL COLLATE pg_catalog."C",
    config text NOT NULL
);


--
-- Name: schema_version; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.schema_version (
    version integer NOT NULL,
    oldest integer DEFAULT 1 NOT NULL
);


--
-- Name: service_migrations; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.service_migrations (
    service text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    sql text NOT NULL
);


--
-- Name: session_members; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.session_members (
    session_id text NOT NULL,
    user_id text NOT NULL,
    role text NOT NULL,
    joined_at bigint NOT NULL,
    session_created_at bigint NOT NULL
);


--
-- Name: sessions; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.sessions (
    id text NOT NULL,
    host_id text NOT NULL,
    title text NOT NULL,
    description text,
    teach_skill_id text,
    focus_keywords text NOT NULL,
    date text NOT NULL,
    start_time text NOT NULL,
    end_time text NOT NULL,
    skill_category text NOT NULL,
    is_teaching bigint NOT NULL,
    is_public bigint NOT NULL,
    max_participants bigint,
    status text NOT NULL,
    metadata text NOT NULL,
    generator text,
    words text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);


--
-- Name: skills; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.skills (
    id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    type text NOT NULL,
    proficiency double precision NOT NULL,
    description text,
    experience text,
    goals text,
    agenda text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);


--
-- Name: steps; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.steps (
    job bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    output text NOT NULL
);


--
-- Name: tombstones; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.tombstones (
    id text NOT NULL COLLATE pg_catalog."C",
    expires_at bigint NOT NULL
);


--
-- Name: unique_keys; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.unique_keys (
    key text NOT NULL COLLATE pg_catalog."C",
    job bigint NOT NULL,
    expires_at bigint
);


--
-- Name: workers; Type: TABLE; Schema: longhaul; Owner: -
--

CREATE TABLE longhaul.workers (
    id text NOT NULL COLLATE pg_catalog."C",
    info text NOT NULL,
    seen_at bigint NOT NULL
);


--
-- Data for Name: count_deltas; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', -6);
INSERT INTO longhaul.count_deltas VALUES ('old', 'running', 6);
INSERT INTO longhaul.count_deltas VALUES ('old', 'scheduled', 2);
INSERT INTO longhaul.count_deltas VALUES ('old', 'running', -5);
INSERT INTO longhaul.count_deltas VALUES ('old', 'completed', 2);
INSERT INTO longhaul.count_deltas VALUES ('old', 'failed', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'scheduled', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', -1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'cancelled', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'available', -1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'cancelled', 1);
INSERT INTO longhaul.count_deltas VALUES ('old', 'cancelled', -1);


--
-- Data for Name: counts; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: events; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.events VALUES (4, 3, 1795875952064, 1, '{"progress":{"percent":40.0,"message":"page 4"}}');
INSERT INTO longhaul.events VALUES (4, 4, 1795875952064, 1, '{"log":{"level":"info","message":"a line"}}');
INSERT INTO longhaul.events VALUES (4, 5, 1795875952064, 1, '{"chunk":{"data":"half"}}');


--
-- Data for Name: idempotency_keys; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.idempotency_keys VALUES ('open
i-1', 'promised', '32d7de454a0df4c1461d06f9adfae3d19c562df7989d651d1e6e4551228debd4', 1795962352121);


--
-- Data for Name: jobs; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.jobs VALUES (4, 10, 1, 0, 1795875952024, 1795875952024, 1795879552049, NULL, 1, 3, 0, 5, 0, 5, 2, 1795875952048, 5, 1, 1795875952024, 1795875952048, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'running', 'k', 'old', 'running', 'w1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"percent":40.0,"message":"page 4"}', NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (1, 7, 1, 0, 1795875951991, 1795875951991, NULL, NULL, 1, 3, 0, 5, 0, 4, 4, 1795875952076, 0, 0, 1795875951991, 1795875952048, 1795875952076, 1795875952076, 60000, NULL, NULL, NULL, NULL, NULL, NULL, 'completed', 'k', 'old', 'completed', 'w1', NULL, NULL, NULL, NULL, '{"tenant":"ada"}', NULL, NULL, NULL, '{"sent": true}', '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (5, 11, 1, 0, 1795875952030, 1795875952030, NULL, NULL, 1, 3, 0, 5, 0, 4, 4, 1795875952076, 0, 0, 1795875952030, 1795875952048, 1795875952076, 1798467952076, NULL, 2592000000, NULL, NULL, NULL, NULL, NULL, 'cached', 'k', 'old', 'completed', 'w1', 'k:once', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '7', '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (2, 8, 1, 0, 1795875952000, 1795875952000, NULL, NULL, 1, 3, 0, 5, 0, 3, 3, 1795875952076, 0, 0, 1795875952000, 1795875952048, 1795875952076, 1795875952076, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'failed', 'k', 'old', 'failed', 'w1', NULL, NULL, NULL, NULL, NULL, '[{"attempt":1,"at":1795875952076,"message":"no such image","kind":"fatal"}]', 'no such image', NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (3, 9, 1, 0, 2095875952077, 2095875952077, NULL, NULL, 1, 3, 0, 5, 0, 3, 3, 1795875952076, 0, 0, 1795875952021, 1795875952048, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'retries', 'k', 'old', 'scheduled', 'w1', NULL, NULL, NULL, NULL, NULL, '[{"attempt":1,"at":1795875952076,"message":"no stamps","kind":"error"}]', 'no stamps', NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (6, 12, 1, 0, 1795875952078, 1795875952078, NULL, NULL, 0, 3, 0, 5, 0, 3, 3, 1795875952076, 0, 0, 1795875952036, 1795875952048, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'snoozed', 'k', 'old', 'scheduled', 'w1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (13, 0, 1, 5, 1795875652092, 1795875952092, NULL, NULL, 0, 7, 0, 5, 0, 1, 1, 1795875952092, 0, 0, 1795875952092, NULL, NULL, NULL, 90000, NULL, NULL, NULL, NULL, NULL, NULL, 'waiting', 'k', 'old', 'available', NULL, NULL, 'provider', NULL, NULL, '{"tenant":"bob"}', NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (14, 0, 1, 0, 2095875952095, 2095875952095, NULL, NULL, 0, 3, 0, 5, 0, 1, 1, 1795875952094, 0, 0, 1795875952094, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'delayed', 'k', 'old', 'scheduled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (17, 0, 1, 0, 1795875952120, 1795875952120, NULL, NULL, 0, 3, 0, 5, 0, 1, 1, 1795875952120, 0, 0, 1795875952120, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'promised', 'k', 'old', 'available', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (16, 0, 1, 0, 1795875952108, 1795875952108, NULL, NULL, 0, 3, 0, 5, 0, 2, 2, 1795875952165, 0, 0, 1795875952108, NULL, 1795875952165, 1795875952165, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'cancelled', 'k', 'old', 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (18, 0, 1, 0, 1795875952132, 1795875952132, NULL, NULL, 0, 3, 0, 5, 0, 1, 1, 1795875952132, 0, 0, 1795875952132, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'unique', 'k', 'old', 'available', NULL, 'k:held', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');
INSERT INTO longhaul.jobs VALUES (19, 0, 1, 0, 1795875952144, 1795875952144, NULL, NULL, 0, 3, 0, 5, 0, 1, 1, 1795875952144, 0, 0, 1795875952144, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'versioned', 'v', 'old', 'available', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"n": 1}');


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: pauses; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: queues; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.queues VALUES ('old', '{"retention":{"completed":{"age":{"secs":315360000,"nanos":0},"count":null},"failed":{"age":{"secs":315360000,"nanos":0},"count":null},"cancelled":{"age":{"secs":315360000,"nanos":0},"count":null}}}');


--
-- Data for Name: schema_version; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.schema_version VALUES (2, 1);


--
-- Data for Name: service_migrations; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.service_migrations VALUES ('sessions', 1, 'sessions', '-- `goals` and `agenda` are JSON, as they came: a text or a list of texts. `proficiency` is 0 to 100.
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
-- it. `words` is what a search looks into, in lower case. Where the dispatch stands is its job''s to tell.
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

-- The host and the participants of each session, so that a user''s sessions are one range of one index.
CREATE TABLE session_members (
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_at BIGINT NOT NULL,
    session_created_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, user_id)
);
CREATE INDEX session_members_by_user ON session_members (user_id, session_created_at, session_id);
');


--
-- Data for Name: session_members; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: sessions; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: skills; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Data for Name: steps; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.steps VALUES (4, 'ocr', '{"text": "x"}');


--
-- Data for Name: tombstones; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.tombstones VALUES ('gone', 1795962352194);


--
-- Data for Name: unique_keys; Type: TABLE DATA; Schema: longhaul; Owner: -
--

INSERT INTO longhaul.unique_keys VALUES ('k:once', 5, 1798467952076);
INSERT INTO longhaul.unique_keys VALUES ('k:held', 18, NULL);


--
-- Data for Name: workers; Type: TABLE DATA; Schema: longhaul; Owner: -
--



--
-- Name: numbers; Type: SEQUENCE SET; Schema: longhaul; Owner: -
--

SELECT pg_catalog.setval('longhaul.numbers', 19, true);


--
-- Name: counts counts_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.counts
    ADD CONSTRAINT counts_pkey PRIMARY KEY (queue, state);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (job, seq);


--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key);


--
-- Name: jobs jobs_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (seq) WITH (fillfactor='40');


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: pauses pauses_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.pauses
    ADD CONSTRAINT pauses_pkey PRIMARY KEY (limit_key);


--
-- Name: queues queues_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);


--
-- Name: service_migrations service_migrations_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.service_migrations
    ADD CONSTRAINT service_migrations_pkey PRIMARY KEY (service, version);


--
-- Name: session_members session_members_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.session_members
    ADD CONSTRAINT session_members_pkey PRIMARY KEY (session_id, user_id);


--
-- Name: sessions sessions_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);


--
-- Name: skills skills_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.skills
    ADD CONSTRAINT skills_pkey PRIMARY KEY (id);


--
-- Name: steps steps_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (job, name);


--
-- Name: tombstones tombstones_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (id);


--
-- Name: unique_keys unique_keys_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.unique_keys
    ADD CONSTRAINT unique_keys_pkey PRIMARY KEY (key);


--
-- Name: workers workers_pkey; Type: CONSTRAINT; Schema: longhaul; Owner: -
--

ALTER TABLE ONLY longhaul.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);


--
-- Name: idempotency_keys_expiring; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX idempotency_keys_expiring ON longhaul.idempotency_keys USING btree (expires_at);


--
-- Name: jobs_available; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_available ON longhaul.jobs USING btree (queue, kind, version, rank, seq) WHERE (state = 'available'::text);


--
-- Name: jobs_by_id; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE UNIQUE INDEX jobs_by_id ON longhaul.jobs USING btree (id) WITH (fillfactor='40');


--
-- Name: jobs_by_parent; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_by_parent ON longhaul.jobs USING btree (parent) WHERE (parent IS NOT NULL);


--
-- Name: jobs_finished; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_finished ON longhaul.jobs USING btree (queue, state, kept_from, seq) WHERE (kept_from IS NOT NULL);


--
-- Name: jobs_running; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_running ON longhaul.jobs USING btree (lease_until) WHERE (state = 'running'::text);


--
-- Name: jobs_scheduled; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_scheduled ON longhaul.jobs USING btree (run_at) WHERE (state = 'scheduled'::text);


--
-- Name: jobs_stopping; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_stopping ON longhaul.jobs USING btree (cancel_by) WHERE (cancel_by IS NOT NULL);


--
-- Name: jobs_unsuccessful; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX jobs_unsuccessful ON longhaul.jobs USING btree (state, seq) WHERE (state = ANY (ARRAY['failed'::text, 'cancelled'::text]));


--
-- Name: session_members_by_user; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX session_members_by_user ON longhaul.session_members USING btree (user_id, session_created_at, session_id);


--
-- Name: sessions_public; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX sessions_public ON longhaul.sessions USING btree (created_at, id) WHERE (is_public = 1);


--
-- Name: skills_by_user; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX skills_by_user ON longhaul.skills USING btree (user_id, created_at, id);


--
-- Name: tombstones_expiring; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX tombstones_expiring ON longhaul.tombstones USING btree (expires_at);


--
-- Name: unique_keys_expiring; Type: INDEX; Schema: longhaul; Owner: -
--

CREATE INDEX unique_keys_expiring ON longhaul.unique_keys USING btree (expires_at) WHERE (expires_at IS NOT NULL);


--
-- PostgreSQL database dump complete
--


