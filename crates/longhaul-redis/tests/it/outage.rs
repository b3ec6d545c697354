//! A server that dies under a live store, and comes back.

use std::time::Duration;

use longhaul::{Claim, Enqueued, Error, LeaseStatus, NewJob, Result, State, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, slots};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::server::{Cluster, Server};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
const LONG: Duration = Duration::from_secs(300);

/// Asks until the server is there to answer: on a busy machine a short response timeout may pass without a fault, too.
async fn insist<T>(ask: impl AsyncFn() -> Result<T>) -> T {
    let insisting = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
            }
            // While the server is away a call fails at once.
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, insisting).await.expect("the store never came back")
}

/// Enqueues until the server is there to do so.
async fn persist(store: &RedisStore, job: NewJob) -> Vec<Enqueued> {
    insist(async || store.enqueue(vec![job.clone()]).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_on_when_its_server_is_back() {
    let mut server = Server::start(&DURABLE);
    let store = RedisStore::open(server.options()).await.unwrap();
    let names: Vec<String> = (0..10).map(|n| format!("job-{n}")).collect();
    store.enqueue(names.iter().map(|name| named(name)).collect()).await.unwrap();
    let one = Claim { queues: vec![slots("images", 1)], ..claim() };
    let lease = store.claim(one.clone()).await.unwrap().remove(0).lease;
    let elsewhere = Claim { wait: LONG, queues: vec![slots("elsewhere", 1)], ..claim() };
    let waiting = tokio::spawn({
        let (store, elsewhere) = (store.clone(), elsewhere.clone());
        async move { store.claim(elsewhere).await }
    });

    server.kill();
    let refused: Result<_> = store.enqueue(vec![named("while-away")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    server.restart(&DURABLE);

    assert!(!persist(&store, named("after")).await[0].is_duplicate());
    for name in &names {
        let found = store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap();
        assert!(matches!(found.state, State::Available | State::Running), "{name} is as it was");
    }
    let statuses = store.finish(vec![finish(&lease, completed())]).await.unwrap();
    assert_eq!(statuses, [LeaseStatus::Held], "a lease outlives its server");
    let next = store.claim(one).await.unwrap().remove(0).lease;
    assert!(next.token > lease.token, "no token comes again");

    // Whoever waited has either been told or goes on waiting.
    persist(&store, NewJob { queue: "elsewhere".into(), ..named("elsewhere") }).await;
    let claimed = match waiting.await.unwrap() {
        Ok(claimed) => claimed,
        Err(error) => {
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            store.claim(elsewhere).await.unwrap()
        }
    };
    assert_eq!(claimed[0].lease.id, id("elsewhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_come_again_when_the_server_is_back() {
    let mut server = Server::start(&DURABLE);
    let options = server.options();
    let [one, other] =
        [RedisStore::open(options.clone()).await.unwrap(), RedisStore::open(options).await.unwrap()];
    server.kill();
    server.restart(&DURABLE);
    persist(&one, named("first")).await;
    // The first claim may find the job at once; the second is told of one.
    for name in ["second", "third"] {
        let waiting = tokio::spawn({
            let other = other.clone();
            async move {
                loop {
                    match other.claim(Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() }).await
                    {
                        Ok(claimed) => return claimed,
                        Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
                    }
                }
            }
        });
        assert_eq!(tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().len(), 1);
        persist(&one, named(name)).await;
    }
}

#[tokio::test]
async fn many_callers_of_a_dead_server_are_all_answered() {
    let mut server = Server::start(&[]);
    let store = RedisStore::open(server.options()).await.unwrap();
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
    let server = Server::start(&[]);
    let options = RedisOptions { response_timeout: Duration::from_millis(300), ..server.options() };
    let store = insist(async || RedisStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    server.signal("STOP");
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    server.signal("CONT");
    persist(&store, named("after")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_server_is_silent_calls_fail_at_once_until_it_answers_again() {
    let server = Server::start(&[]);
    let short = Duration::from_millis(300);
    let options = RedisOptions { response_timeout: short, connect_timeout: short, ..server.options() };
    let store = insist(async || RedisStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    server.signal("STOP");
    let waited = async {
        while !format!("{:?}", store.enqueue(vec![named("meanwhile")]).await)
            .contains("has not answered in time")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, waited).await.expect("every call waits in vain");
    let unread = store.get(&[id("before")]).await;
    assert!(format!("{unread:?}").contains("has not answered in time"), "{unread:?}");
    server.signal("CONT");

    // No call gets as far as to find out by itself that the server is back.
    let mut found = insist(async || store.get(&[id("before")]).await).await;
    assert!(found.remove(0).found().is_some());
    persist(&store, named("after")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_says_nothing_is_given_up_in_time_and_goes_on_later() {
    let cluster = Cluster::start();
    let options = RedisOptions { response_timeout: Duration::from_secs(1), ..cluster.options() };
    let store = insist(async || RedisStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    cluster.signal("STOP");
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    cluster.signal("CONT");
    persist(&store, named("after")).await;
}
