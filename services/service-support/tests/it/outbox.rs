//! Rows in one database, jobs in another store, which may be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul::testing::{Call, Intercept};
use longhaul::{
    Action, Clock, EnqueueStatus, Error, JobFilter, JobId, Json, Longhaul, MemoryStore, NewJob, OnClash,
    QueueConfig, State, Unique,
};
use longhaul_sqlite::SqliteStore;
use service_support::{
    Candidate, Commit, Db, DbError, Deed, Deps, Env, Erased, Erasure, Migration, Older, RowJob, Value, Write,
    enqueue_all, user_label,
};
use tempfile::TempDir;

const MIGRATIONS: &[Migration] =
    &[Migration { name: "notes", sql: "CREATE TABLE notes (id TEXT PRIMARY KEY)", older: Older::Refused }];

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
    folder: TempDir,
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
    Fixture { folder, longhaul, away, db }
}

impl Fixture {
    async fn states(&self, ids: &[&str]) -> Vec<Option<State>> {
        let ids: Vec<JobId> = ids.iter().map(|id| JobId::new(*id).unwrap()).collect();
        let found = self.longhaul.store().get(&ids).await.unwrap();
        found.into_iter().map(|lookup| lookup.found().map(|job| job.state)).collect()
    }

    /// Lets so many jobs wait in the queue.
    async fn bound(&self, max_waiting: Option<u64>) {
        let config = QueueConfig { max_waiting, ..QueueConfig::default() };
        self.longhaul.store().set_queue("default", &config).await.unwrap();
    }

    /// Where those of these jobs are that are anywhere.
    async fn found(&self, ids: &[JobId]) -> Vec<String> {
        let look = |ids: Vec<JobId>| async move { self.longhaul.get_all(&ids).await };
        let found = self.db.find_jobs(ids.to_vec(), |_| true, look).await.unwrap();
        let mut found: Vec<String> = found
            .iter()
            .map(|(id, job)| match job {
                RowJob::Enqueued(_) => format!("{id} is there"),
                RowJob::Waiting(job) => {
                    assert_eq!(job.job().unwrap().id.as_ref(), Some(id));
                    format!("{id} waits")
                }
            })
            .collect();
        found.sort();
        found
    }

    /// Writes an entry of the outbox as another release would.
    async fn enter(&self, id: &str, jobs: &str) {
        let sql = "INSERT INTO outbox (id, jobs) VALUES ($1, $2)";
        let entry = Write::new(sql, vec![Value::from(id), Value::from(jobs)]);
        self.db.commit(vec![entry], vec![]).await.unwrap();
    }

    async fn erased(&self, deed: Deed) -> Erased {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let env = Env::new(self.folder.path(), |_| None);
        let deps = Deps::new(env, self.db.clone(), self.longhaul.clone(), Clock::system()).unwrap();
        let erasure = Erasure::new(&deps, "ada", deed).unwrap();
        let mut erased = Erased::default();
        let label = user_label("ada");
        let is_own = |job: &Candidate<'_>| job.has(&label);
        erasure.jobs(&mut erased, &["notes.read"], is_own).await.unwrap();
        erasure.shared(&mut erased).await.unwrap();
        erased
    }

    async fn delete(&self, id: &str) {
        let job = JobFilter::id(JobId::new(id).unwrap());
        self.longhaul.cancel(&JobId::new(id).unwrap()).await.unwrap();
        self.longhaul.store().act(&job, Action::Delete, 1).await.unwrap();
    }

    /// Commits a note and its jobs, and answers what became of these.
    async fn committed(&self, note_id: &str, jobs: Vec<NewJob>) -> Vec<EnqueueStatus> {
        let Commit::Done(done) = self.db.commit(vec![note(note_id)], jobs).await.unwrap() else { panic!() };
        done.enqueued.iter().map(|enqueued| enqueued.status).collect()
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
    let asked = ["one", "other"].map(|id| JobId::new(id).unwrap());
    assert_eq!(f.found(&asked).await, ["one waits"]);
    assert!(f.db.deliver().await.is_err(), "it is still away");
    assert_eq!(f.count("outbox").await, 1, "and nothing is lost by trying");

    f.away.store(false, Ordering::SeqCst);
    assert_eq!(f.db.deliver().await.unwrap(), 3);
    let states = f.states(&["all", "one", "two"]).await;
    assert!(states.iter().all(Option::is_some), "{states:?}");
    assert_eq!(f.db.deliver().await.unwrap(), 0);
    assert_eq!(f.found(&asked).await, ["one is there"]);
}

#[tokio::test]
async fn an_entry_that_cannot_be_delivered_keeps_no_other_back() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    f.committed("a", vec![job("a")]).await;
    f.away.store(false, Ordering::SeqCst);
    // Of a release whose words this one does not know, and of one that took what this one refuses. They are the oldest.
    f.enter("0", "[{\"kind\": 7}]").await;
    let refused = Json::new(&[NewJob { kind: "no name".into(), ..job("b") }]).unwrap();
    f.enter("00", refused.as_str()).await;
    let told = f.db.deliver().await;
    assert!(matches!(told, Err(DbError::Undelivered { left: 2, delivered: 1, .. })), "{told:?}");
    assert_eq!(f.states(&["a", "b"]).await, [Some(State::Available), None]);
    assert_eq!(f.count("outbox").await, 2);
}

#[tokio::test]
async fn entries_that_cannot_be_read_hide_no_job_and_stop_no_erasure() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    let of = |id: &str, user: &str| NewJob { labels: [user_label(user)].into(), ..job(id) };
    f.committed("a", vec![of("a", "ada")]).await;
    f.committed("b", vec![of("b", "bob")]).await;
    // Of a newer release: no text at all, a job that says nothing, and jobs with a word that this one does not know.
    f.enter("0", "from tomorrow").await;
    f.enter("1", "[{\"kind\": 7}]").await;
    let newer = |job: &NewJob| {
        Json::new(job).unwrap().as_str().replace("\"max_attempts\":1", "\"max_attempts\":\"many\"")
    };
    f.enter("2", &format!("[{}, {}]", newer(&of("c", "ada")), newer(&of("d", "bob")))).await;
    assert!(f.db.deliver().await.is_err());
    let asked = ["a", "b", "x"].map(|id| JobId::new(id).unwrap());
    assert_eq!(f.found(&asked).await, ["a waits", "b waits"]);

    let counted = f.erased(Deed::Count).await;
    assert_eq!(counted.counts, [("outbox", 2)].into());
    assert_eq!(
        counted.stays.iter().map(|stays| (stays.what, stays.count)).collect::<Vec<_>>(),
        [("entries of the outbox", 2)]
    );
    assert_eq!(f.count("outbox").await, 5);
    assert_eq!(f.erased(Deed::Erase).await.counts, [("outbox", 2)].into());
    assert_eq!(f.count("outbox").await, 4);
    assert_eq!(f.found(&asked).await, ["b waits"]);
    let left = f.db.read("SELECT jobs FROM outbox WHERE id = '2'", vec![]).await.unwrap();
    let left: String = left[0].get("jobs").unwrap();
    assert_eq!(left, format!("[{}]", newer(&of("d", "bob"))), "to the letter");
    assert!(f.erased(Deed::Erase).await.counts.is_empty());
}

#[tokio::test]
async fn what_the_last_release_left_in_the_outbox_is_found_once_a_delivery_was_tried() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    f.enter("0190", Json::new(&[job("a"), job("b")]).unwrap().as_str()).await;
    let asked = ["a", "b"].map(|id| JobId::new(id).unwrap());
    assert!(f.db.deliver().await.is_err(), "it is away");
    assert_eq!(f.found(&asked).await, ["a waits", "b waits"]);
    // The last release delivers it, and knows nothing of the notes.
    f.db.commit(vec![Write::new("DELETE FROM outbox", vec![])], vec![]).await.unwrap();
    assert!(f.found(&asked).await.is_empty());
    f.away.store(false, Ordering::SeqCst);
    f.db.deliver().await.unwrap();
    assert_eq!(f.count("outbox_jobs").await, 0);
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing_to_deliver() {
    let f = fixture().await;
    f.away.store(true, Ordering::SeqCst);
    let refused = Write::guarded("DELETE FROM notes WHERE id = $1", vec![Value::from("none")]);
    assert!(!f.db.commit(vec![note("a"), refused], vec![job("a")]).await.unwrap().is_done());
    assert_eq!((f.count("notes").await, f.count("outbox").await), (0, 0));
}

#[tokio::test]
async fn a_job_that_finds_no_room_stays_in_the_outbox_until_there_is_some() {
    let f = fixture().await;
    f.bound(Some(1)).await;
    let created = EnqueueStatus::Created;
    assert_eq!(f.committed("a", vec![job("a"), job("b")]).await, [created, created]);
    assert_eq!(f.states(&["a", "b"]).await, [Some(State::Available), None]);
    assert_eq!(f.committed("c", vec![job("c")]).await, [created]);
    assert_eq!(f.db.deliver().await.unwrap(), 0, "nobody has made room");
    assert_eq!(f.count("outbox").await, 2);

    f.delete("a").await;
    f.bound(None).await;
    assert_eq!(f.db.deliver().await.unwrap(), 2);
    assert_eq!(f.states(&["b", "c"]).await, [Some(State::Available); 2]);
    assert_eq!(f.states(&["a"]).await, [None], "what was delivered before is not made anew");
    assert_eq!(f.count("outbox").await, 0);
}

#[tokio::test]
async fn a_job_whose_key_is_held_is_refused_at_once_and_kept_where_it_was_promised() {
    let f = fixture().await;
    let keyed = |id| {
        let unique = Unique { on_clash: OnClash::Reject, ..Unique::new("k") };
        NewJob { unique: Some(unique), ..job(id) }
    };
    assert_eq!(f.committed("a", vec![keyed("a")]).await, [EnqueueStatus::Created]);
    assert_eq!(
        f.committed("b", vec![keyed("b")]).await,
        [EnqueueStatus::Rejected],
        "as its caller has asked for"
    );
    f.away.store(true, Ordering::SeqCst);
    assert_eq!(f.committed("c", vec![keyed("c")]).await, [EnqueueStatus::Created]);
    f.away.store(false, Ordering::SeqCst);
    f.db.deliver().await.unwrap();
    assert_eq!(f.states(&["b", "c"]).await, [None, None]);
    f.delete("a").await;
    f.db.deliver().await.unwrap();
    assert_eq!(f.states(&["b", "c"]).await, [None, Some(State::Available)]);
    assert_eq!(f.db.deliver().await.unwrap(), 0);
}

#[tokio::test]
async fn of_jobs_that_are_enqueued_at_once_none_is_left_where_one_finds_no_room() {
    let f = fixture().await;
    f.bound(Some(2)).await;
    let batch = || NewJob::batch(job("all"), vec![job("one"), job("two"), job("three")]);
    let crowded = enqueue_all(&f.longhaul, batch()).await;
    assert!(matches!(crowded, Err(DbError::Crowded(_))), "{crowded:?}");
    assert_eq!(f.states(&["all", "one", "two"]).await, [Some(State::Cancelled); 3]);
    assert_eq!(f.states(&["three"]).await, [None]);
}
