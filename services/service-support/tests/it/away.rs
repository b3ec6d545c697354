//! A Postgres that goes away under rows, and comes back.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, Context, Error, Job, JobId, JobRecord, JobResult, Longhaul, Lookup, Registry, State};
use longhaul_postgres::{PostgresOptions, PostgresStore};
use longhaul_testservers::Postgres;
use serde::{Deserialize, Serialize};
use service_support::{Commit, Db, DbError, Row, Write};
use tokio::sync::Semaphore;

const SETTINGS: [&str; 2] = ["fsync=off", "shared_buffers=16MB"];
const LONG: Duration = Duration::from_secs(60);

async fn read(db: &Db) -> Result<Vec<Row>, DbError> {
    db.read("SELECT 1 AS one", Vec::new()).await
}

async fn write(db: &Db) -> Result<Commit, DbError> {
    db.commit(vec![Write::new("DELETE FROM jobs WHERE id = 'x'", Vec::new())], Vec::new()).await
}

fn is_unavailable<T>(result: &Result<T, DbError>) -> bool {
    matches!(result, Err(DbError::Store(Error::Unavailable { .. })))
}

async fn is_away(db: &Db) {
    let (read, written) = tokio::join!(read(db), write(db));
    assert!(is_unavailable(&read), "{read:?}");
    assert!(is_unavailable(&written), "{written:?}");
}

/// Reads and writes until both go well: while a server is known to be away, calls fail at once.
async fn goes_on(db: &Db) {
    let going = async {
        loop {
            let (read, written) = tokio::join!(read(db), write(db));
            if read.is_ok() && written.is_ok() {
                return;
            }
            assert!(read.is_ok() || is_unavailable(&read), "{read:?}");
            assert!(written.is_ok() || is_unavailable(&written), "{written:?}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, going).await.expect("the rows never came back");
}

/// Connects until the store opens: on a busy machine a short timeout may pass without a fault, too.
async fn connect(url: &str) -> PostgresStore {
    let connecting = async {
        loop {
            match PostgresStore::connect(url).await {
                Ok(store) => return store,
                Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
            }
        }
    };
    tokio::time::timeout(LONG, connecting).await.expect("the store never opened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_server_that_is_away_are_unavailable_until_it_is_back() {
    let mut server = Postgres::start(&SETTINGS);
    let db = Db::postgres(PostgresStore::connect(&server.url()).await.unwrap());
    goes_on(&db).await;
    server.kill();
    // First on connections that break, then where none can be made.
    for _ in 0..3 {
        is_away(&db).await;
    }
    server.restart(&SETTINGS);
    goes_on(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_server_that_says_nothing_are_given_up_in_time() {
    let server = Postgres::start(&SETTINGS);
    let url = format!("{}?response_timeout=1&connect_timeout=1", server.url());
    let db = Db::postgres(connect(&url).await);
    goes_on(&db).await;
    server.signal("STOP");
    for _ in 0..3 {
        is_away(&db).await;
    }
    server.signal("CONT");
    goes_on(&db).await;
}

/// A job that writes a row once it is let.
#[derive(Serialize, Deserialize)]
struct Save;

#[derive(Clone)]
struct Desk {
    db: Db,
    began: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

impl Job for Save {
    const KIND: &'static str = "save";
    const MAX_ATTEMPTS: u32 = 2;
    type State = Desk;
    type Output = ();

    async fn run(self, cx: Context<Desk>) -> JobResult<()> {
        let Desk { db, began, go } = cx.state();
        began.add_permits(1);
        go.acquire().await?.forget();
        write(db).await?;
        Ok(())
    }
}

async fn reaches(longhaul: &Longhaul, id: &JobId, state: State) -> JobRecord {
    let looking = async {
        loop {
            if let Ok(Lookup::Found(job)) = longhaul.get(id).await
                && job.state == state
            {
                return *job;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("the job never was {state:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_restarts_of_postgres_under_a_running_job_cost_it_no_attempt() {
    let mut server = Postgres::start(&SETTINGS);
    let clock = Clock::manual();
    let options = PostgresOptions::new(&server.url()).unwrap();
    let store = PostgresStore::open_with_clock(options, clock.clone()).await.unwrap();
    let (db, longhaul) = (Db::postgres(store.clone()), Longhaul::new(store));
    let desk = Desk { db, began: Arc::new(Semaphore::new(0)), go: Arc::new(Semaphore::new(0)) };
    let mut registry = Registry::default();
    registry.register::<Save>(desk.clone());
    let _worker = longhaul.worker().registry(registry).queue("default", 1).start();
    let id = longhaul.enqueue(Save).await.unwrap().id;
    for _ in 0..3 {
        desk.began.acquire().await.unwrap().forget();
        server.kill();
        desk.go.add_permits(1);
        is_away(&desk.db).await;
        server.restart(&SETTINGS);
        let waiting = reaches(&longhaul, &id, State::Scheduled).await;
        assert_eq!((waiting.attempt, waiting.errors.len()), (0, 0), "{waiting:?}");
        clock.advance(Duration::from_secs(5));
    }
    desk.began.acquire().await.unwrap().forget();
    desk.go.add_permits(1);
    let job = reaches(&longhaul, &id, State::Completed).await;
    assert_eq!(job.errors.len(), 0, "{job:?}");
}
