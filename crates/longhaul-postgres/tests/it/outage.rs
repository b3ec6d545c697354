//! A server that dies under a live store, and comes back.

use std::time::Duration;

use longhaul::{Claim, Enqueued, Error, JobRecord, LeaseStatus, NewJob, QueueConfig, Result, State, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, slots};
use longhaul_conformance::retry_until_available;
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::server::{PATIENCE, Server};

const LONG: Duration = Duration::from_secs(300);
/// What a server has handed to the system outlives its crash without a sync, which is for power cuts.
const SETTINGS: [&str; 2] = ["fsync=off", "shared_buffers=16MB"];

/// Enqueues until the server is there to do so.
async fn persist(store: &PostgresStore, job: NewJob) -> Vec<Enqueued> {
    retry_until_available(PATIENCE, async || store.enqueue(vec![job.clone()]).await).await
}

/// The job, where the server can be asked: reads go over connections of their own, of which each has to find out that the
/// server is back.
async fn found(store: &PostgresStore, name: &str) -> Option<JobRecord> {
    retry_until_available(PATIENCE, async || store.get(&[id(name)]).await).await.remove(0).found()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_on_when_its_server_is_back() {
    let mut server = Server::start(&SETTINGS);
    let store = PostgresStore::open(server.options()).await.unwrap();
    let names: Vec<String> = (0..10).map(|n| format!("job-{n}")).collect();
    store.enqueue(names.iter().map(|name| named(name)).collect()).await.unwrap();
    let one = Claim { queues: vec![slots("images", 1)], ..claim() };
    let lease = store.claim(one.clone()).await.unwrap().remove(0).lease;
    let elsewhere = Claim { wait: LONG, queues: vec![slots("elsewhere", 1)], ..claim() };
    let mut waiting = Box::pin(store.claim(elsewhere));
    assert!(futures::poll!(&mut waiting).is_pending());
    // On the same connection, and so after the claim has begun to wait.
    store.set_queue("images", &QueueConfig::default()).await.unwrap();

    server.kill();
    let refused: Result<_> = store.enqueue(vec![named("while-away")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    let unread = store.queues().await;
    assert!(matches!(unread, Err(Error::Unavailable { .. })), "{unread:?}");
    server.restart(&SETTINGS);

    assert!(!persist(&store, named("after")).await[0].is_duplicate());
    for name in &names {
        let found = found(&store, name).await.unwrap();
        assert!(matches!(found.state, State::Available | State::Running), "{name} is as it was");
    }
    let statuses = store.finish(vec![finish(&lease, completed())]).await.unwrap();
    assert_eq!(statuses, [LeaseStatus::Held], "a lease outlives its server");
    let next = store.claim(one).await.unwrap().remove(0).lease;
    assert!(next.token > lease.token, "no token comes again");

    // Whoever waited goes on waiting.
    persist(&store, NewJob { queue: "elsewhere".into(), ..named("elsewhere") }).await;
    let claimed = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap();
    assert_eq!(claimed[0].lease.id, id("elsewhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_crash_in_the_middle_of_work() {
    let mut server = Server::start(&SETTINGS);
    let store = PostgresStore::open(server.options()).await.unwrap();
    let busy = tokio::spawn({
        let store = store.clone();
        async move {
            let mut kept = Vec::new();
            for n in 0_u32.. {
                let name = format!("job-{n}");
                match store.enqueue(vec![named(&name)]).await {
                    Ok(_) => kept.push(name),
                    Err(_) => break,
                }
            }
            kept
        }
    });
    let counted =
        || async { store.queues().await.unwrap().first().is_some_and(|q| q.counts[&State::Available] > 50) };
    while !counted().await {
        tokio::task::yield_now().await;
    }
    server.kill();
    let kept = busy.await.unwrap();
    assert!(kept.len() >= 50);
    server.restart(&SETTINGS);
    persist(&store, named("after")).await;
    for name in kept {
        assert!(found(&store, &name).await.is_some(), "{name} is there");
    }
}

#[tokio::test]
async fn many_callers_of_a_dead_server_are_all_answered() {
    let mut server = Server::start(&SETTINGS);
    let store = PostgresStore::open(server.options()).await.unwrap();
    server.kill();
    let calls = (0..200).map(|n| {
        let store = store.clone();
        async move { store.enqueue(vec![named(&format!("job-{n}"))]).await }
    });
    let answers = tokio::time::timeout(LONG / 5, futures::future::join_all(calls)).await.unwrap();
    for answer in answers {
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = Server::start(&SETTINGS);
    let options = PostgresOptions { response_timeout: Duration::from_millis(500), ..server.options() };
    let options = PostgresOptions { connect_timeout: Duration::from_secs(30), ..options };
    let options = PostgresOptions { pool_size: 1, ..options };
    let store = retry_until_available(PATIENCE, async || PostgresStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    assert!(found(&store, "before").await.is_some());

    server.signal("STOP");
    let before = [id("before")];
    let (read, written) = tokio::join!(store.get(&before), store.enqueue(vec![named("meanwhile")]));
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    assert!(matches!(written, Err(Error::Unavailable { .. })), "{written:?}");
    server.signal("CONT");

    persist(&store, named("after")).await;
    assert!(found(&store, "after").await.is_some(), "nothing hangs in the pool");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let options = crate::server::shared().options();
    let options = longhaul_postgres::PostgresOptions { response_timeout: Duration::from_secs(1), ..options };
    let store = retry_until_available(PATIENCE, async || PostgresStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    let mut client = store.pool().get().await.unwrap();
    let holder = client.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    // The server is asked to drop it, and hears of that in its own time.
    // Of an ANALYZE of all tables, which other tests that share the server ask for, it is not known when it goes on.
    let waiting = "SELECT count(*) FROM pg_locks
                   WHERE relation = 'jobs'::regclass AND NOT granted AND mode <> 'ShareUpdateExclusiveLock'";
    let dropped = async {
        while holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, dropped).await.expect("the server still waits for the lock");
    holder.rollback().await.unwrap();
    persist(&store, named("after")).await;
    assert!(found(&store, "meanwhile").await.is_none(), "what was given up was not done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_server_is_silent_calls_fail_at_once_until_it_answers_again() {
    let server = Server::start(&SETTINGS);
    let short = Duration::from_millis(300);
    let options = PostgresOptions { response_timeout: short, connect_timeout: short, ..server.options() };
    let store = retry_until_available(PATIENCE, async || PostgresStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    server.signal("STOP");
    let waited = async {
        while !format!("{:?}", store.enqueue(vec![named("meanwhile")]).await).contains("the server is away") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, waited).await.expect("every call waits in vain");
    let unread = store.get(&[id("before")]).await;
    assert!(format!("{unread:?}").contains("the server is away"), "{unread:?}");
    server.signal("CONT");

    // No call gets as far as to find out by itself that the server is back.
    assert!(found(&store, "before").await.is_some());
    persist(&store, named("after")).await;
}
