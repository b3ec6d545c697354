//! Files that another release has written, or works on at the same time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::{
    Children, Enqueued, JobFilter, JobId, JobRecord, Json, NewJob, Start, State, StepRecord, Store, Unique,
    process_id,
};
use longhaul_sqlite::SqliteStore;
use longhaul_sqlite::rusqlite::{Connection, Row, ToSql, params};
use tempfile::TempDir;

use crate::owner::{claim, close, completed, job};

fn id(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

async fn record(store: &SqliteStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

pub(crate) fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("jobs.db")
}

fn version(path: &Path) -> u32 {
    Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Makes a file as a release of schema version 1 left it.
fn write_version_1(path: &Path) {
    let old = Connection::open(path).unwrap();
    old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    old.execute_batch(include_str!("../../src/migrations/0001_jobs.sql")).unwrap();
    old.execute_batch(include_str!("schema_1.sql")).unwrap();
    old.execute_batch("PRAGMA user_version = 1").unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_migrated_with_its_jobs_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write_version_1(&file(&folder));
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    assert!(version(&file(&folder)) > 1);

    let ran = record(&store, "ran").await;
    assert_eq!((ran.state, ran.attempt, ran.crashes), (State::Available, 0, 1), "its server has ended");
    assert_eq!((ran.children, ran.limit_keys), (None, Vec::new()));
    let log = store.events(&id("ran"), 0, 10, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(log.len(), 3, "what it had written, and its state: {log:?}");
    let retries = record(&store, "retries").await;
    assert_eq!((retries.state, retries.errors[0].message.as_str()), (State::Scheduled, "no stamps"));
    let done = record(&store, "done").await;
    assert_eq!(done.output.unwrap().to_value(), "sent");
    assert_eq!(done.labels["tenant"], "ada");
    let children = JobFilter { parents: vec![id("ran")], ..JobFilter::default() };
    let page = store
        .list(&children, longhaul::Page { cursor: None, limit: 10, ..longhaul::Page::default() })
        .await
        .unwrap();
    assert_eq!(page.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["retries"]);

    let unique = Unique::new("order-4");
    let answer =
        store.enqueue(vec![NewJob { unique: Some(unique), ..job("again") }]).await.unwrap().remove(0);
    assert!(answer.is_duplicate(), "its key is held on");
    assert_eq!(answer.id, id("done"));

    let closing = NewJob { start: Start::AfterChildren, ..job("all") };
    let child = NewJob { parent: Some(id("all")), limit_keys: vec!["post".into()], ..job("child") };
    let answers = store.enqueue(vec![closing, child]).await.unwrap();
    assert!(answers.iter().all(Enqueued::is_created), "and what is new works in it");
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    assert_eq!(
        claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(),
        ["waits", "ran", "child"]
    );
    assert_eq!(claimed[1].steps["pack"].to_value(), "box 7");
    store.finish(claimed.iter().map(completed).collect()).await.unwrap();
    let all = record(&store, "all").await;
    assert_eq!(all.state, State::Available);
    assert_eq!(all.children, Some(Children { total: 1, completed: 1, failed: 0, cancelled: 0 }));
    let counts = store.queues().await.unwrap().remove(0).counts;
    let expected = [(State::Scheduled, 1), (State::Available, 1), (State::Completed, 4)];
    assert_eq!(counts, expected.into());
}

/// A newer release migrates the file before the last process of the one before it has ended.
#[tokio::test]
async fn the_statements_of_the_previous_release_work_on_the_newest_schema() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.enqueue(vec![job("theirs"), job("fails")]).await.unwrap();
    let previous = Previous::open(&file(&folder));
    previous.insert(1_001, "mine");

    let claimed = previous.claim(3);
    assert_eq!(claimed.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["mine", "theirs", "fails"]);
    assert_eq!(record(&store, "mine").await.worker.as_deref(), Some("previous"));
    previous.complete_leased(claimed[0].0);
    previous.complete(&claimed[1].1);
    previous.record_step(claimed[2].0, "pack");
    previous.fail(&claimed[2].1);

    for (name, state) in [("mine", State::Completed), ("theirs", State::Completed), ("fails", State::Failed)]
    {
        let job = record(&store, name).await;
        assert_eq!((job.state, job.attempt, job.children), (state, 1, None), "{name}");
        assert_eq!(job.output.map(|output| output.to_value()), (name != "fails").then(|| "sent".into()));
        assert!(store.events(&id(name), 0, 10, Duration::ZERO).await.unwrap().is_some());
    }
    let pack = StepRecord {
        name: "pack".into(),
        attempt: 0,
        started_at: None,
        finished_at: None,
        output: Some(Json::new(&"box 7").unwrap()),
    };
    assert_eq!(store.steps(&id("fails")).await.unwrap(), Some(vec![pack]), "nothing but its output was kept");
    let counts = store.queues().await.unwrap().remove(0).counts;
    let counts: Vec<_> = counts.into_iter().filter(|(_, jobs)| *jobs > 0).collect();
    assert_eq!(counts, [(State::Completed, 2), (State::Failed, 1)]);
}

/// A process of the previous release, as far as its statements go.
pub(crate) struct Previous(Connection);

const TOKEN: i64 = 2_000;
const NOW: i64 = 1_000;

impl Previous {
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        Self(connection)
    }

    fn execute(&self, sql: &str, values: &[&dyn ToSql]) {
        assert_eq!(self.0.execute(sql, values).unwrap(), 1, "{sql}");
    }

    fn count(&self, state: &str, change: i64) {
        self.execute(include_str!("previous_release/add_count.sql"), params!["default", state, change]);
    }

    pub(crate) fn insert(&self, seq: i64, name: &str) {
        self.insert_keyed(seq, name, None);
    }

    pub(crate) fn insert_keyed(&self, seq: i64, name: &str, limit_key: Option<&str>) {
        let null = None::<String>;
        self.execute(
            include_str!("previous_release/insert_job.sql"),
            params![
                seq,
                name,
                "ship",
                1,
                "default",
                "available",
                0,
                NOW,
                NOW,
                3,
                5,
                NOW,
                null,
                null,
                null,
                null,
                null,
                null,
                "{}",
                limit_key,
                null,
                null
            ],
        );
        self.count("available", 1);
    }

    /// The jobs that it has claimed, by their rows.
    pub(crate) fn claim(&self, slots: i64) -> Vec<(i64, String)> {
        let mut candidates = self.0.prepare(include_str!("previous_release/claim_candidates.sql")).unwrap();
        let read = |row: &Row<'_>| Ok((row.get("seq")?, row.get("id")?));
        let found = candidates.query_map(params!["default", "ship", 1, slots], read).unwrap();
        let found: Vec<(i64, String)> = found.collect::<Result<_, _>>().unwrap();
        for (seq, _) in &found {
            self.execute(
                include_str!("previous_release/claim_job.sql"),
                params![seq, TOKEN, "previous", NOW, i64::MAX],
            );
            self.count("available", -1);
            self.count("running", 1);
        }
        found
    }

    fn complete_leased(&self, seq: i64) {
        let values = params![seq, TOKEN, NOW, "\"sent\""];
        self.execute(include_str!("previous_release/complete_leased_job.sql"), values);
        self.ended("completed");
    }

    pub(crate) fn complete(&self, id: &str) {
        self.complete_run(id, TOKEN);
    }

    /// Completes a run that another process has claimed.
    pub(crate) fn complete_run(&self, id: &str, token: i64) {
        let seq: i64 = self
            .0
            .query_row(include_str!("previous_release/completable_job.sql"), params![id, token], |row| {
                row.get(0)
            })
            .unwrap();
        let values = params![seq, NOW, "\"sent\"", NOW];
        self.execute(include_str!("previous_release/complete_job.sql"), values);
        self.ended("completed");
    }

    fn record_step(&self, seq: i64, name: &str) {
        self.execute(include_str!("previous_release/insert_step.sql"), params![seq, name, "\"box 7\""]);
        let progress = None::<String>;
        self.execute(include_str!("previous_release/record_progress.sql"), params![seq, progress, 2, 0, 1]);
    }

    fn fail(&self, id: &str) {
        let find = include_str!("previous_release/find_lease.sql");
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get("last_event")?));
        let (seq, last_event): (i64, i64) = self.0.query_row(find, params![id, TOKEN], read).unwrap();
        let errors = None::<String>;
        let values = params![seq, "failed", NOW, NOW, NOW, 1, 0, 0, errors, NOW, last_event + 1];
        self.execute(include_str!("previous_release/end_run.sql"), values);
        self.ended("failed");
    }

    fn ended(&self, state: &str) {
        self.count("running", -1);
        self.count(state, 1);
    }
}

/// Makes a file of this release look like one of a later release, which asks for a binary of schema `oldest`.
async fn write_later_version(path: &Path, later: u32, oldest: u32) {
    close(SqliteStore::open(path).await.unwrap()).await;
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("ALTER TABLE jobs ADD COLUMN what_comes_later TEXT").unwrap();
    connection.execute("UPDATE compatibility SET oldest = ?1", [oldest]).unwrap();
    connection.execute_batch(&format!("PRAGMA user_version = {later}")).unwrap();
}

#[tokio::test]
async fn an_older_binary_goes_on_with_a_newer_file_that_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    close(SqliteStore::open(file(&folder)).await.unwrap()).await;
    let newest = version(&file(&folder));
    write_later_version(&file(&folder), newest + 1, newest).await;
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.enqueue(vec![job("a")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    store.finish(claimed.iter().map(completed).collect()).await.unwrap();
    assert_eq!(record(&store, "a").await.state, State::Completed);
    store.migrate().await.unwrap();
    assert_eq!(version(&file(&folder)), newest + 1, "it is left as it is");
}

#[tokio::test]
async fn a_store_goes_on_while_a_newer_release_migrates_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.enqueue(vec![job("a")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    let newer = Connection::open(file(&folder)).unwrap();
    newer.busy_timeout(Duration::from_secs(60)).unwrap();
    newer.execute_batch("ALTER TABLE jobs ADD COLUMN what_comes_later TEXT DEFAULT 'new'").unwrap();
    store.finish(claimed.iter().map(completed).collect()).await.unwrap();
    store.enqueue(vec![job("b")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    assert_eq!(claimed[0].lease.id, id("b"));
    assert_eq!(record(&store, "a").await.state, State::Completed);
}

#[tokio::test]
async fn an_older_binary_refuses_a_newer_file_that_does_not_allow_it() {
    let folder = tempfile::tempdir().unwrap();
    write_later_version(&file(&folder), 999, 998).await;
    let refused = SqliteStore::open(file(&folder)).await.unwrap_err().to_string();
    assert!(refused.contains("schema is version 999, for which a binary must know version 998"), "{refused}");
    assert!(refused.contains("use the newer longhaul that wrote it"), "{refused}");
}
