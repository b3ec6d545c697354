//! A server that dies under a live store, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::{Claim, Enqueued, Error, LeaseStatus, NewJob, Result, State, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, slots};
use longhaul_conformance::retry_until_available;
use longhaul_redis::{RedisOptions, RedisStore, redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Cluster, Server};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
const LONG: Duration = Duration::from_secs(300);

/// Enqueues until the server is there to do so.
async fn persist(store: &RedisStore, job: NewJob) -> Vec<Enqueued> {
    retry_until_available(LONG / 5, async || store.enqueue(vec![job.clone()]).await).await
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

#[tokio::test]
async fn a_read_over_a_connection_that_was_cut_is_answered() {
    let server = Server::start(&[]);
    let store = RedisStore::open(server.options()).await.unwrap();
    store.enqueue(vec![named("kept")]).await.unwrap();
    for _ in 0..20 {
        let _: i64 = server.tell(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).unwrap();
        assert!(store.get(&[id("kept")]).await.unwrap().remove(0).found().is_some());
        assert_eq!(store.queues().await.unwrap().len(), 1);
    }
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
    let (short, seconds) = (Duration::from_millis(300), Duration::from_secs(5));
    let options = RedisOptions { response_timeout: short, connect_timeout: seconds, ..server.options() };
    let store = retry_until_available(LONG / 5, async || RedisStore::open(options.clone()).await).await;
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
    let store = retry_until_available(LONG / 5, async || RedisStore::open(options.clone()).await).await;
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
    let mut found = retry_until_available(LONG / 5, async || store.get(&[id("before")]).await).await;
    assert!(found.remove(0).found().is_some());
    persist(&store, named("after")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_says_nothing_is_given_up_in_time_and_goes_on_later() {
    let cluster = Cluster::start();
    let (short, seconds) = (Duration::from_secs(1), Duration::from_secs(5));
    let options = RedisOptions { response_timeout: short, connect_timeout: seconds, ..cluster.options() };
    let store = retry_until_available(LONG / 5, async || RedisStore::open(options.clone()).await).await;
    persist(&store, named("before")).await;
    cluster.signal("STOP");
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    cluster.signal("CONT");
    persist(&store, named("after")).await;
}

/// Passes bytes on between clients and a server, and can lose the server's next answer together with the connection.
struct Proxy {
    url: String,
    loses_answer: Arc<AtomicBool>,
}

impl Proxy {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let loses_answer = Arc::new(AtomicBool::new(false));
        let (port, loses) = (server.port(), Arc::clone(&loses_answer));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(Self::pass(client, upstream, Arc::clone(&loses)));
            }
        });
        Self { url, loses_answer }
    }

    async fn pass(mut client: TcpStream, mut upstream: TcpStream, loses: Arc<AtomicBool>) {
        let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
        // Pings and notifications are not lost.
        let mut runs_script = false;
        loop {
            tokio::select! {
                read = client.read(&mut asked) => match read {
                    Ok(length @ 1..) => {
                        runs_script |= asked[..length].windows(7).any(|word| word == b"EVALSHA");
                        upstream.write_all(&asked[..length]).await.unwrap();
                    }
                    _ => return,
                },
                read = upstream.read(&mut answered) => match read {
                    Ok(1..) if runs_script && loses.swap(false, Ordering::SeqCst) => return,
                    Ok(length @ 1..) => client.write_all(&answered[..length]).await.unwrap(),
                    _ => return,
                },
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_is_lost_costs_its_jobs_neither_a_crash_nor_the_wait_for_their_lease() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(&server).await;
    let prefix = server.options().prefix;
    let store = RedisStore::open(RedisOptions::new(&proxy.url).unwrap().prefix(&prefix)).await.unwrap();
    let other = RedisStore::open(server.options().prefix(&prefix)).await.unwrap();
    let one = Claim { queues: vec![slots("images", 1)], ..claim() };
    other.enqueue(["held", "lost", "of-another"].map(named).to_vec()).await.unwrap();
    let held = store.claim(one.clone()).await.unwrap().remove(0).lease;

    proxy.loses_answer.store(true, Ordering::SeqCst);
    let lost = store.claim(one.clone()).await;
    assert!(matches!(lost, Err(Error::Unavailable { .. })), "{lost:?}");
    let stranger = Claim { worker: longhaul_conformance::jobs::worker("w2"), ..one.clone() };
    let theirs = other.claim(stranger).await.unwrap().remove(0).lease;
    assert_eq!(theirs.id, id("of-another"));

    let claiming = async {
        loop {
            match store.claim(one.clone()).await {
                Ok(claimed) => return claimed,
                Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(LONG / 5, claiming).await.expect("the store never came back").remove(0);
    assert_eq!((again.lease.id.clone(), again.attempt), (id("lost"), 1));
    let job = other.get(&[id("lost")]).await.unwrap().remove(0).found().unwrap();
    assert_eq!(job.crashes, 0);
    let ends = [&held, &theirs, &again.lease].map(|lease| finish(lease, completed()));
    assert_eq!(
        other.finish(ends.to_vec()).await.unwrap(),
        [LeaseStatus::Held; 3],
        "nobody else lost a lease"
    );
}
