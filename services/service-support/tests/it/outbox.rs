//! Rows in one database, jobs in another store, which may be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul::testing::{Call, Intercept};
use longhaul::{Error, JobId, Json, Longhaul, MemoryStore, NewJob, State};
use longhaul_sqlite::SqliteStore;
use service_support::{Db, Migration, Value, Write};
use tempfile::TempDir;

const MIGRATIONS: &[Migration] =
    &[Migration { name: "notes", sql: "CREATE TABLE notes (id TEXT PRIMARY KEY)" }];

/// A store that takes no jobs while it is away.
fn may_be_away(away: Arc<AtomicBool>) -> Intercept {
    Intercept::new(MemoryStore::new(), move |store, call| {
        let is_refused = matches!(call, Call::Enqueue(_)) && away.load(Ordering::SeqCst);
        async move {
            match is_refused {
                true => {
                    let source = "connection refused".into();
                    Err(Error::Store { store: "test", operation: "enqueue", source })
                }
                false => call.on(store.as_ref()).await,
            }
        }
    })
}

struct Fixture {
    _folder: TempDir,
    longhaul: Longhaul,
    away: Arc<AtomicBool>,
    db: Db,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let away = Arc::new(AtomicBool::new(false));
    let longhaul = Longhaul::new(may_be_away(Arc::clone(&away)));
    let rows = SqliteStore::open(folder.path().join("rows.db")).await.unwrap();
    let db = Db::sqlite(rows).with_jobs_in(longhaul.clone());
    db.migrate("notes", MIGRATIONS).await.unwrap();
    Fixture { _folder: folder, longhaul, away, db }
}

impl Fixture {
    async fn states(&self, ids: &[&str]) -> Vec<Option<State>> {
        let ids: Vec<JobId> = ids.iter().map(|id| JobId::new(*id).unwrap()).collect();
        let found = self.longhaul.store().get(&ids).await.unwrap();
        found.into_iter().map(|lookup| lookup.found().map(|job| job.state)).collect()
    }

    async fn count(&self, table: &str) -> i64 {
        let rows = self.db.read(format!("SELECT count(*) AS n FROM {table}"), vec![]).await.unwrap();
        rows[0].get("n").unwrap()
    }
}

fn note(id: &str) -> Write {
    Write::new("INSERT INTO notes (id) VALUES ($1)", vec![Value::from(id)])
}

fn job(id: &str) -> NewJob {
    let id = Some(JobId::new(id).unwrap());
    NewJob { id, max_attempts: 1, ..NewJob::new("notes.read", Json::null()) }
}

#[tokio::test]
async fn a_job_is_in_its_store_once_its_row_is_committed() {
    let f = fixture().await;
    assert!(f.db.commit(vec![note("a")], vec![job("a")]).await.unwrap().is_done());
    assert_eq!(f.states(&["a"]).await, [Some(State::Available)]);
}

#[tokio::test]
async fn what_was_committed_while_the_store_was_away_is_delivered_once() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    let batch = NewJob::batch(job("all"), vec![job("one"), job("two")]);
    assert!(f.db.commit(vec![note("a")], batch).await.unwrap().is_done());
    assert_eq!((f.count("notes").await, f.count("outbox").await), (1, 1));
    assert!(f.db.deliver().await.is_err(), "it is still away");
    assert_eq!(f.count("outbox").await, 1, "and nothing is lost by trying");

    f.away.store(false, Ordering::SeqCst);
    assert_eq!(f.db.deliver().await.unwrap(), 3);
    let states = f.states(&["all", "one", "two"]).await;
    assert!(states.iter().all(Option::is_some), "{states:?}");
    assert_eq!(f.db.deliver().await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_to_deliver() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    let refused = Write::guarded("DELETE FROM notes WHERE id = $1", vec![Value::from("none")]);
    assert!(!f.db.commit(vec![note("a"), refused], vec![job("a")]).await.unwrap().is_done());
    assert_eq!((f.count("notes").await, f.count("outbox").await), (0, 0));
}
