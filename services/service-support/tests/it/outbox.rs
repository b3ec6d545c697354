//! Rows in one database, jobs in another store, which may be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Claim, Claimed, Enqueued, Error, Event, Finish, JobFilter, JobId, JobPage, Json, Lease,
    LeaseStatus, Longhaul, Lookup, MemoryStore, NewJob, Page, QueueConfig, QueueInfo, Record, Result, State,
    Store, Swept, WorkerInfo,
};
use longhaul_sqlite::SqliteStore;
use service_support::{Db, Migration, Value, Write};
use tempfile::TempDir;

const MIGRATIONS: &[Migration] =
    &[Migration { name: "notes", sql: "CREATE TABLE notes (id TEXT PRIMARY KEY)" }];

/// A store that takes no jobs while it is away.
#[derive(Debug)]
struct MayBeAway {
    store: MemoryStore,
    away: Arc<AtomicBool>,
}

#[async_trait]
impl Store for MayBeAway {
    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        if self.away.load(Ordering::SeqCst) {
            let source = "connection refused".into();
            return Err(Error::Store { store: "test", operation: "enqueue", source });
        }
        self.store.enqueue(jobs).await
    }
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.store.claim(claim).await
    }
    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.store.heartbeat(worker, leases, lease_for).await
    }
    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.store.record(records).await
    }
    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.store.finish(finishes).await
    }
    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.store.sweep(limit).await
    }
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.store.get(ids).await
    }
    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.store.list(filter, page).await
    }
    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.store.events(id, after, limit, wait).await
    }
    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.store.act(filter, action, limit).await
    }
    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.store.queues().await
    }
    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.store.set_queue(queue, config).await
    }
    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.store.workers().await
    }
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
    let longhaul = Longhaul::new(MayBeAway { store: MemoryStore::new(), away: Arc::clone(&away) });
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
    let job = serde_json::json!({
        "id": id, "kind": "notes.read", "version": 1, "queue": "notes", "args": null, "priority": 0,
        "start": "now", "max_attempts": 1, "max_crashes": 1, "timeout": null, "backoff": null, "unique": null,
        "idempotency": null, "parent": null, "labels": {},
    });
    NewJob { args: Json::null(), ..serde_json::from_value(job).unwrap() }
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
