//! Data that the release of 2026-11-25 has written opens, runs and finishes. `release_2026_11_25/` holds what its binary left when
//! it was killed: the file of SQLite as SQL, a dump of Postgres, and the keys of Redis with the values that `DUMP` tells.

use std::time::Duration;

use longhaul::{
    Action, Claim, Clock, EventBody, JobFilter, JobId, JobRecord, Json, LeaseStatus, NewJob, State, Unique,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{completed, id, kind, slots, worker};
use longhaul_postgres::tokio_postgres::{self, NoTls};
use longhaul_postgres::{PostgresOptions, PostgresStore};
use longhaul_redis::{RedisOptions, RedisStore, redis};
use longhaul_sqlite::SqliteStore;
use longhaul_sqlite::rusqlite::Connection;

const QUEUE: &str = "old";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A clock that shows 2026-12-09: leases have expired, and the key that a result holds for 30 days is held.
fn clock() -> Clock {
    let clock = Clock::manual();
    clock.advance(342 * DAY);
    clock
}

#[tokio::test]
async fn the_last_release_s_jobs_go_on_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("longhaul.db");
    let old = Connection::open(&file).expect("a file");
    old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").expect("a file");
    old.execute_batch(include_str!("release_2026_11_25/sqlite.sql")).expect("the release's file");
    drop(old);
    let clock = clock();
    let store = SqliteStore::open_with_clock(&file, clock.clone()).await.expect("a store");
    goes_on(&Fixture::new(store, clock)).await;
}

#[tokio::test]
async fn the_last_release_s_jobs_go_on_on_postgres() {
    let server = longhaul_testservers::Postgres::start(&["fsync=off", "full_page_writes=off"]);
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    client
        .batch_execute(include_str!("release_2026_11_25/postgres.sql"))
        .await
        .expect("the release's tables");
    drop(client);
    connection.await.expect("a connection's end").expect("a good one");
    let clock = clock();
    let options = PostgresOptions::new(&server.url()).expect("options");
    let store = PostgresStore::open_with_clock(options, clock.clone()).await.expect("a store");
    goes_on(&Fixture::new(store, clock)).await;
}

#[tokio::test]
async fn the_last_release_s_jobs_go_on_on_redis() {
    let server = longhaul_testservers::Redis::start(&[]);
    let client = redis::Client::open(server.url()).expect("a client");
    let mut connection = client.get_connection().expect("a connection");
    for line in include_str!("release_2026_11_25/redis.txt").lines() {
        let (key, dump) = line.split_once(' ').expect("a key and its value");
        let dump: Vec<u8> = (0..dump.len()).step_by(2).map(|at| byte(&dump[at..at + 2])).collect();
        let restored: String =
            redis::cmd("RESTORE").arg(key).arg(0).arg(dump).query(&mut connection).expect("a key restored");
        assert_eq!(restored, "OK");
    }
    let clock = clock();
    let options = RedisOptions::new(&server.url()).expect("options");
    let store = RedisStore::open_with_clock(options, clock.clone()).await.expect("a store");
    goes_on(&Fixture::new(store, clock)).await;
}

fn byte(hex: &str) -> u8 {
    u8::from_str_radix(hex, 16).expect("a byte")
}

/// Looks at what there is, runs what is unfinished, and does what people do with what has ended.
async fn goes_on(fx: &Fixture) {
    fx.store.migrate().await.expect("migrated");
    let job = async |name: &str| -> JobRecord { fx.job(&id(name)).await };

    let done = job("completed").await;
    assert_eq!(
        (done.state, done.output.map(|output| output.to_value())),
        (State::Completed, Some(serde_json::json!({"sent": true})))
    );
    assert_eq!((done.labels["tenant"].as_str(), done.policy.timeout), ("ada", Some(Duration::from_secs(60))));
    let failed = job("failed").await;
    assert_eq!((failed.state, failed.errors[0].message.as_str()), (State::Failed, "no such image"));
    let retries = job("retries").await;
    assert_eq!((retries.state, retries.errors[0].message.as_str()), (State::Scheduled, "no stamps"));
    assert_eq!(job("delayed").await.state, State::Scheduled);
    assert_eq!(job("cancelled").await.state, State::Cancelled);
    let waiting = job("waiting").await;
    assert_eq!((waiting.state, waiting.priority, waiting.max_attempts), (State::Available, 5, 7));
    assert_eq!(
        (waiting.limit_keys.first().map(String::as_str), waiting.policy.timeout),
        (Some("provider"), Some(Duration::from_secs(90)))
    );
    let running = job("running").await;
    assert_eq!(
        (running.state, running.progress.map(|progress| progress.percent)),
        (State::Running, Some(40.0))
    );
    let said = fx.events(&id("running")).await;
    assert!(
        said.iter().any(|event| event.body == EventBody::Chunk { data: Json::new(&"half").expect("json") })
    );
    let queue = fx.queue(QUEUE).await;
    let kept = Some(Duration::from_secs(315_360_000));
    assert_eq!((queue.config.retention.completed.age, queue.config.retention.failed.age), (kept, kept));
    let count = |state| queue.counts.get(&state).copied().unwrap_or_default();
    assert_eq!((count(State::Completed), count(State::Failed), count(State::Running)), (2, 1, 1));

    let unique = |key: &str| NewJob {
        unique: Some(Unique::new(key)),
        queue: QUEUE.into(),
        ..NewJob::new("k", Json::null())
    };
    assert_eq!(fx.offer(unique("k:once")).await.id, id("cached"), "a result is served for its period");
    assert_eq!(fx.offer(unique("k:held")).await.id, id("unique"), "a waiting job holds its key");
    assert!(fx.offer(NewJob { id: Some(id("promised")), ..unique("another") }).await.is_duplicate());

    let swept = fx.sweep().await;
    assert_eq!(swept.rescued, 1, "the worker of the running job is gone");
    let claim = Claim {
        worker: worker("new"),
        queues: vec![slots(QUEUE, 50)],
        kinds: vec![kind("k", 1), kind("v", 1)],
        lease_for: Duration::from_secs(30),
        wait: Duration::ZERO,
    };
    let claimed = fx.claim(claim).await;
    let mut names: Vec<&str> = claimed.iter().map(|claimed| claimed.lease.id.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["promised", "running", "snoozed", "unique", "versioned", "waiting"]);
    for claimed in &claimed {
        if claimed.lease.id == id("running") {
            assert_eq!(
                claimed.steps["ocr"].to_value(),
                serde_json::json!({"text": "x"}),
                "a step is not repeated"
            );
            assert_eq!(claimed.attempt, 1, "a crash costs no attempt");
        }
        assert_eq!(fx.finish(&claimed.lease, completed()).await, LeaseStatus::Held);
    }
    assert!(!fx.offer(unique("k:held")).await.is_duplicate(), "its key is free");
    for name in ["failed", "cached", "cancelled"] {
        assert_eq!(fx.act(&id(name), Action::Retry).await, 1, "{name} is retried");
    }
    fx.act(&id("delayed"), Action::cancel(DAY)).await;
    let ended = JobFilter { states: vec![State::Completed, State::Cancelled], ..JobFilter::default() };
    assert_eq!(fx.act_on(&ended, Action::Delete, 100).await, 8);
    let left: Vec<JobId> = fx.list(&JobFilter { queues: vec![QUEUE.into()], ..JobFilter::default() }).await;
    assert_eq!(left.len(), 5, "retries, three that are retried, and the new holder of a key: {left:?}");
}
