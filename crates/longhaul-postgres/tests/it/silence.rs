//! A process that falls silent in the middle of a transaction: stopped, or cut off; and one that hears things late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::{Claim, Error, LeaseStatus, NewJob, Outcome, Store, Timestamp};
use longhaul_conformance::jobs::{claim, finish, id, named, slots, unique};
use longhaul_conformance::retry_until_available;
use longhaul_postgres::{PostgresOptions, PostgresStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::server::{PATIENCE, late_proxy, shared};

const LONG: Duration = Duration::from_secs(300);

/// Hands on what is said in both directions; once it is to, it swallows the next commit and all that comes after it.
async fn proxy(server: SocketAddr, swallow: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let swallow = Arc::clone(&swallow);
            tokio::spawn(async move {
                let (mut said, mut silent) = (vec![0; 65_536], false);
                while let Ok(count @ 1..) = from_client.read(&mut said).await {
                    let said = &said[..count];
                    silent |= swallow.load(Ordering::SeqCst) && said.windows(6).any(|w| w == b"COMMIT");
                    if !silent && to_server.write_all(said).await.is_err() {
                        return;
                    }
                }
                // The server is told nothing of its end either, as when a cable is cut.
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_process_holds_is_free_again_in_time() {
    let options = shared().options();
    let server = options.config.get_ports()[0];
    let swallow = Arc::new(AtomicBool::new(false));
    let address = proxy(([127, 0, 0, 1], server).into(), Arc::clone(&swallow)).await;
    let url = format!("postgres://longhaul@{address}/postgres?schema={}", options.schema);
    let behind =
        PostgresOptions { response_timeout: Duration::from_secs(3), ..PostgresOptions::new(&url).unwrap() };
    let store = PostgresStore::open(options).await.unwrap();
    let cut_off = retry_until_available(PATIENCE, async || PostgresStore::open(behind.clone()).await).await;
    store.enqueue(vec![named("a")]).await.unwrap();

    swallow.store(true, Ordering::SeqCst);
    let claimed = cut_off.claim(claim()).await;
    assert!(matches!(claimed, Err(Error::Unavailable { .. })), "{claimed:?}");
    let enqueued = cut_off.enqueue(vec![unique("key", None)]).await;
    assert!(matches!(enqueued, Err(Error::Unavailable { .. })), "{enqueued:?}");

    let waiting = store.claim(Claim { wait: LONG, ..claim() });
    let claimed = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap();
    assert_eq!((&claimed[0].lease.id, claimed[0].attempt), (&id("a"), 1), "nobody has ever had it");
    // Whoever comes too early is told so.
    let enqueued = loop {
        match store.enqueue(vec![unique("key", None)]).await {
            Ok(enqueued) => break enqueued,
            Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
        }
    };
    assert!(!enqueued[0].is_duplicate());
}

async fn server_time(store: &PostgresStore) -> Timestamp {
    let client = store.pool().get().await.unwrap();
    let now = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    Timestamp(client.query_one(now, &[]).await.unwrap().get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_is_not_over_early_where_the_clock_was_heard_of_late() {
    let options = shared().options();
    let server = options.config.get_ports()[0];
    let (hold, held) = watch::channel(false);
    let address = late_proxy(server, held).await;
    let url = format!("postgres://longhaul@{address}/postgres?schema={}", options.schema);
    let store = PostgresStore::open(options).await.unwrap();
    let behind = PostgresOptions {
        connect_timeout: LONG,
        response_timeout: LONG,
        ..PostgresOptions::new(&url).unwrap()
    };
    let late = PostgresStore::open(behind).await.unwrap();
    let limited = |name| NewJob { limit_keys: vec!["provider".into()], ..named(name) };
    store.enqueue(vec![limited("a"), limited("b")]).await.unwrap();
    let one = Claim { queues: vec![slots("images", 1)], ..claim() };
    let lease = late.claim(one.clone()).await.unwrap().remove(0).lease;

    // The server reads its clock, and one of its clients hears what it showed a good while afterwards.
    hold.send_replace(true);
    let recording = tokio::spawn({
        let (late, record) = (late.clone(), longhaul::Record { lease: lease.clone(), entries: Vec::new() });
        async move { late.record(vec![record]).await }
    });
    let (while_held, nowhere) = (Duration::from_millis(500), vec![slots("nowhere", 1)]);
    assert!(store.claim(Claim { wait: while_held, queues: nowhere, ..claim() }).await.unwrap().is_empty());
    hold.send_replace(false);
    assert_eq!(recording.await.unwrap().unwrap(), [LeaseStatus::Held]);

    let delay = Duration::from_secs(60);
    let asked = server_time(&store).await;
    let limit = Outcome::RateLimited { delay };
    assert_eq!(late.finish(vec![finish(&lease, limit)]).await.unwrap(), [LeaseStatus::Held]);
    let pause = store.get(&[id("a")]).await.unwrap().remove(0).found().unwrap();
    assert!(pause.run_at >= asked.plus(delay), "the key is paused for as long as was asked for: {pause:?}");
    let claimed = store.claim(one).await.unwrap();
    assert!(claimed.is_empty(), "the key is paused: {claimed:?}");
}
