use std::time::Duration;

use longhaul::{Context, Job, JobId, JobResult, Longhaul, Lookup, NewJob, Store};
use longhaul_postgres::PostgresStore;
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use service_support::{Commit, Db, DbError, Migration, Older, Row, Value, Write};
use tempfile::TempDir;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "notes",
    sql: "CREATE TABLE notes (id TEXT PRIMARY KEY, status TEXT NOT NULL, size BIGINT, weight DOUBLE PRECISION, raw BYTEA);
          CREATE INDEX notes_by_status ON notes (status)", older: Older::Refused
}];

#[derive(Serialize, Deserialize)]
struct Read {
    note: String,
}

impl Job for Read {
    const KIND: &'static str = "notes.read";
    type State = ();
    type Output = ();

    async fn run(self, _cx: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

/// Rows and jobs on one store.
struct Fixture {
    longhaul: Longhaul,
    db: Db,
    /// The address of the store, to be opened once more; a folder lives as long as this.
    address: Address,
}

enum Address {
    Sqlite(TempDir),
    Postgres(String),
}

impl Address {
    async fn open(self) -> Fixture {
        let (db, longhaul) = match &self {
            Address::Sqlite(folder) => {
                let store = SqliteStore::open(folder.path().join("test.db")).await.unwrap();
                (Db::sqlite(store.clone()), Longhaul::new(store))
            }
            Address::Postgres(url) => {
                let store = PostgresStore::connect(url).await.unwrap();
                (Db::postgres(store.clone()), Longhaul::new(store))
            }
        };
        db.migrate("notes", MIGRATIONS).await.unwrap();
        Fixture { longhaul, db, address: self }
    }
}

/// Makes a test of each for each database: what runs on one must run on the other.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Address::Sqlite(tempfile::tempdir().unwrap()).open().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let url = longhaul_testservers::postgres().url_of_new_schema();
                super::$name(super::Address::Postgres(url).open().await).await;
            })*
        }
    };
}

on_both! {
    values_come_back_as_they_went_in
    a_nul_is_kept_and_asked_for_as_the_replacement_character
    a_wrong_statement_is_told_in_the_databases_words_without_the_row
    a_row_and_its_job_are_one_commit
    what_fails_leaves_neither_row_nor_job
    a_job_that_finds_no_room_leaves_no_row
    a_guarded_write_that_changes_nothing_refuses_the_commit
    a_wrong_number_of_parameters_is_refused
    migrations_run_once_and_forward_only
    a_binary_of_the_last_release_goes_on_where_a_migration_only_adds
    commits_that_choose_the_next_number_choose_different_ones
    a_table_of_answers_that_the_release_before_made_gets_the_column_of_users
}

#[tokio::test]
async fn migrations_wait_for_another_process_that_keeps_the_write_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("test.db")).await.unwrap();
    store.transact(|tx| tx.connection().busy_timeout(Duration::from_millis(1))).await.unwrap().unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let db = Db::sqlite(store.clone());
    let migrating = tokio::spawn({
        let db = db.clone();
        async move { db.migrate("notes", MIGRATIONS).await }
    });
    // It is not ready once a write has failed.
    while store.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    other.execute_batch("COMMIT").unwrap();
    migrating.await.unwrap().unwrap();
    assert!(db.read("SELECT * FROM notes", vec![]).await.unwrap().is_empty());
}

async fn a_table_of_answers_that_the_release_before_made_gets_the_column_of_users(f: Fixture) {
    let before = "CREATE TABLE answers (id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status BIGINT NOT NULL, \
                  body TEXT NOT NULL, expires_at BIGINT NOT NULL)";
    let insert =
        "INSERT INTO answers (id, fingerprint, status, body, expires_at) VALUES ('old', 'f', 200, '', 0)";
    for sql in ["DROP TABLE answers", before, insert] {
        f.db.commit(vec![Write::new(sql, vec![])], vec![]).await.unwrap();
    }
    for _ in 0..2 {
        f.db.migrate("notes", MIGRATIONS).await.unwrap();
        let rows = f.db.read("SELECT id FROM answers WHERE user_id IS NULL", vec![]).await.unwrap();
        assert_eq!(rows[0].get::<String>("id").unwrap(), "old");
    }
}

impl Fixture {
    async fn notes(&self) -> Vec<Row> {
        self.db.read("SELECT * FROM notes ORDER BY id", vec![]).await.unwrap()
    }
}

fn insert(id: &str) -> Write {
    Write::new("INSERT INTO notes (id, status) VALUES ($1, $2)", vec![id.into(), "new".into()])
}

fn job(id: &str) -> NewJob {
    NewJob { id: Some(JobId::new(id).unwrap()), ..NewJob::of(&Read { note: id.into() }).unwrap() }
}

async fn values_come_back_as_they_went_in(f: Fixture) {
    let sql = "INSERT INTO notes (size, id, status, weight, raw) VALUES ($3, $1, $2, $4, $5)";
    let params = vec!["a".into(), "new".into(), 7_u64.into(), 0.5.into(), vec![0_u8, 255].into()];
    f.db.commit(vec![Write::new(sql, params)], vec![]).await.unwrap();
    let sql = "INSERT INTO notes (id, status, size, weight, raw) VALUES ($1, $2, $3, $4, $5)";
    let params = vec!["b".into(), "new".into(), None::<i64>.into(), Value::Null, Value::Null];
    f.db.commit(vec![Write::new(sql, params)], vec![]).await.unwrap();

    let rows = f.notes().await;
    let full = &rows[0];
    assert_eq!(full.get::<String>("id").unwrap(), "a");
    assert_eq!(full.get::<u64>("size").unwrap(), 7);
    assert_eq!(full.get::<f64>("weight").unwrap(), 0.5);
    assert_eq!(full.get::<Vec<u8>>("raw").unwrap(), [0, 255]);
    assert_eq!(rows[1].get::<Option<i64>>("size").unwrap(), None);
    assert!(matches!(rows[1].get::<i64>("size"), Err(DbError::Column { .. })));
    assert!(matches!(full.get::<i64>("id"), Err(DbError::Column { .. })));
    assert!(matches!(full.get::<i64>("length"), Err(DbError::Column { .. })));
}

async fn a_nul_is_kept_and_asked_for_as_the_replacement_character(f: Fixture) {
    f.db.commit(vec![insert("a\0b")], vec![]).await.unwrap();
    let found =
        f.db.read("SELECT id FROM notes WHERE id = $1", vec![String::from("a\0b").into()]).await.unwrap();
    assert_eq!(found[0].get::<String>("id").unwrap(), "a\u{fffd}b");
    assert!(f.db.read("SELECT id FROM notes WHERE id = $1", vec!["\0".into()]).await.unwrap().is_empty());
}

async fn a_wrong_statement_is_told_in_the_databases_words_without_the_row(f: Fixture) {
    f.db.commit(vec![insert("secret")], vec![]).await.unwrap();
    let told = f.db.commit(vec![insert("secret")], vec![]).await.unwrap_err().to_string();
    assert!(told.starts_with("failed to run 'INSERT INTO notes"), "{told}");
    assert!(told.to_lowercase().contains("unique constraint") && !told.contains("secret"), "{told}");
}

async fn a_row_and_its_job_are_one_commit(f: Fixture) {
    let done = f.db.commit(vec![insert("a")], vec![job("a")]).await.unwrap();
    let Commit::Done(done) = done else { panic!("refused") };
    assert_eq!(done.changed, [1]);
    assert!(done.enqueued[0].is_created());
    assert!(matches!(f.longhaul.get(&JobId::new("a").unwrap()).await.unwrap(), Lookup::Found(_)));
}

async fn what_fails_leaves_neither_row_nor_job(f: Fixture) {
    f.db.commit(vec![insert("a")], vec![]).await.unwrap();
    let clash = f.db.commit(vec![insert("b"), insert("a")], vec![job("b")]).await;
    assert!(matches!(clash, Err(DbError::Statement { .. })), "{clash:?}");
    let invalid = NewJob { max_attempts: 0, ..job("b") };
    let refused = f.db.commit(vec![insert("b")], vec![invalid]).await;
    assert!(matches!(refused, Err(DbError::Store(longhaul::Error::Invalid { .. }))), "{refused:?}");
    assert_eq!(f.notes().await.len(), 1);
    assert_eq!(f.longhaul.get(&JobId::new("b").unwrap()).await.unwrap(), Lookup::Unknown);
}

async fn a_job_that_finds_no_room_leaves_no_row(f: Fixture) {
    let bounded = longhaul::QueueConfig { max_waiting: Some(1), ..longhaul::QueueConfig::default() };
    f.longhaul.store().set_queue("default", &bounded).await.unwrap();
    let crowded = f.db.commit(vec![insert("a")], vec![job("a"), job("b")]).await;
    assert!(matches!(&crowded, Err(DbError::Crowded(longhaul::Full::Queue(_)))), "{crowded:?}");
    assert_eq!(f.notes().await.len(), 0);
    assert_eq!(
        f.longhaul.get(&JobId::new("a").unwrap()).await.unwrap(),
        Lookup::Unknown,
        "nor a part of the jobs"
    );
    assert!(f.db.commit(vec![insert("a")], vec![job("a")]).await.unwrap().is_done());
}

async fn a_guarded_write_that_changes_nothing_refuses_the_commit(f: Fixture) {
    f.db.commit(vec![insert("a")], vec![]).await.unwrap();
    let sql = "UPDATE notes SET status = $2 WHERE id = $1 AND status = $3";
    let take = || Write::guarded(sql, vec!["a".into(), "taken".into(), "new".into()]);
    assert!(f.db.commit(vec![take()], vec![job("first")]).await.unwrap().is_done());
    let second = f.db.commit(vec![insert("b"), take()], vec![job("second")]).await.unwrap();
    assert_eq!(second, Commit::Refused { write: 1 });
    assert_eq!(f.notes().await.len(), 1, "the write before the guard is undone");
    assert_eq!(f.longhaul.get(&JobId::new("second").unwrap()).await.unwrap(), Lookup::Unknown);
}

async fn a_wrong_number_of_parameters_is_refused(f: Fixture) {
    let read = f.db.read("SELECT * FROM notes WHERE id = $1", vec![]).await;
    assert!(matches!(read, Err(DbError::Statement { .. })), "{read:?}");
    let named = f.db.read("SELECT * FROM notes WHERE id = $id", vec!["a".into()]).await;
    assert!(matches!(named, Err(DbError::Statement { .. })), "{named:?}");
}

async fn migrations_run_once_and_forward_only(f: Fixture) {
    f.db.commit(vec![insert("a")], vec![]).await.unwrap();
    f.db.migrate("notes", MIGRATIONS).await.unwrap();
    assert_eq!(f.notes().await.len(), 1);

    const CHANGED: &[Migration] =
        &[Migration { name: "notes", sql: "CREATE TABLE notes (id TEXT)", older: Older::Refused }];
    assert!(matches!(f.db.migrate("notes", CHANGED).await, Err(DbError::Migration { .. })));
    assert!(matches!(f.db.migrate("notes", &[]).await, Err(DbError::Migration { .. })), "an older binary");

    const BROKEN: &[Migration] = &[
        MIGRATIONS[0],
        Migration {
            name: "two",
            sql: "CREATE TABLE other (id TEXT); CREATE TABLE notes (id TEXT)",
            older: Older::Refused,
        },
    ];
    assert!(matches!(f.db.migrate("notes", BROKEN).await, Err(DbError::Migration { .. })));
    let other = f.db.read("SELECT * FROM other", vec![]).await;
    assert!(other.is_err(), "half a migration is undone");

    // Another service's tables are counted apart, and another process sees what was done.
    const OTHER: &[Migration] =
        &[Migration { name: "other", sql: "CREATE TABLE other (id TEXT)", older: Older::Refused }];
    f.db.migrate("other", OTHER).await.unwrap();
    let again = f.address.open().await;
    again.db.migrate("other", OTHER).await.unwrap();
}

async fn a_binary_of_the_last_release_goes_on_where_a_migration_only_adds(f: Fixture) {
    const fn second(older: Older) -> Migration {
        Migration { name: "added", sql: "CREATE TABLE added (id TEXT)", older }
    }
    const NEWER: &[Migration] = &[MIGRATIONS[0], second(Older::GoesOn)];
    f.db.migrate("notes", NEWER).await.unwrap();
    f.db.read("SELECT * FROM added", vec![]).await.unwrap();
    // As the last release looks for newer tables, which does not know what only adds.
    let versions = "SELECT max(version) AS newest FROM service_migrations WHERE service = $1";
    let newest = f.db.read(versions, vec!["notes".into()]).await.unwrap().remove(0);
    assert_eq!(newest.get::<i64>("newest").unwrap(), 1);
    f.db.migrate("notes", MIGRATIONS).await.unwrap();
    f.db.migrate("notes", NEWER).await.unwrap();

    // One that was noted under the service's own name has run, too.
    const BEFORE: &[Migration] = &[second(Older::Refused)];
    const AFTER: &[Migration] = &[second(Older::GoesOn)];
    f.db.commit(vec![Write::new("DROP TABLE added", vec![])], vec![]).await.unwrap();
    f.db.migrate("others", BEFORE).await.unwrap();
    f.db.migrate("others", AFTER).await.unwrap();
    assert!(f.db.migrate("others", &[]).await.is_err());
}

/// Code that is written against a database that commits one thing after the other must hold on one that does not.
async fn commits_that_choose_the_next_number_choose_different_ones(f: Fixture) {
    let next = "INSERT INTO notes (id, status, size) \
                SELECT $1, 'new', coalesce(max(size), 0) + 1 FROM notes";
    let commits = (0..20).map(|number| {
        let (db, id) = (f.db.clone(), format!("note-{number}"));
        async move { db.commit(vec![Write::new(next, vec![id.into()])], vec![]).await.unwrap() }
    });
    futures::future::join_all(commits).await;
    let mut numbers: Vec<i64> = f.notes().await.iter().map(|note| note.get("size").unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<i64>>());
}
