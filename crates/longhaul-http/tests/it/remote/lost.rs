//! Answers that get lost, and servers that are not there.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use longhaul::{
    Action, Claim, Clock, EnqueueStatus, Entry, Error, EventBody, Finish, Json, LeaseStatus, MemoryStore,
    Outcome, Record, Signalled, State, Store,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{claim, completed, finish, id, job, named, slots, worker};
use longhaul_http::{Access, HttpConfig, RemoteStore, Secret};
use tokio::net::TcpListener;

use super::proxy::Proxy;
use super::server::Server;

/// A remote store behind a network that can lose answers, and the store that the server has.
struct Lossy {
    remote: Fixture,
    local: Fixture,
    proxy: Proxy,
    _server: Server,
}

async fn lossy() -> Lossy {
    let clock = Clock::manual();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(clock.clone()));
    let config = HttpConfig { clock: clock.clone(), ..HttpConfig::default() };
    let server = Server::over(Arc::clone(&store), config).await;
    let proxy = Proxy::before(&server.url).await;
    let remote = Fixture::new(RemoteStore::connect(&proxy.url, None).await.unwrap(), clock.clone());
    let local = Fixture { store, clock, keep: Arc::new(()) };
    Lossy { remote, local, proxy, _server: server }
}

#[tokio::test]
async fn entries_whose_receipt_was_lost_are_written_once() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    let lease = remote.running().await.lease;
    for piece in ["a", "a", "b"] {
        proxy.lose(2);
        let chunk = Entry::Chunk { data: Json::new(&piece).unwrap() };
        assert_eq!(remote.record(&lease, vec![chunk]).await, LeaseStatus::Held);
        assert!(proxy.lost_all());
    }
    let events = local.events(&lease.id).await;
    let chunks: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Chunk { data } => Some(data.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(chunks, ["\"a\"", "\"a\"", "\"b\""]);
}

#[tokio::test]
async fn a_finish_whose_receipt_was_lost_is_known_to_be_accepted() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    let lease = remote.running().await.lease;
    proxy.lose(2);
    let end = Finish { follow_ups: vec![named("next")], ..finish(&lease, completed()) };
    assert_eq!(remote.finish_all(vec![end.clone()]).await, [LeaseStatus::Held]);
    assert!(proxy.lost_all());
    assert_eq!(local.state(&lease.id).await, State::Completed);
    assert_eq!(local.state(&id("next")).await, State::Available);
    let jobs = local.store.queues().await.unwrap();
    assert_eq!(remote.finish_all(vec![end]).await, [LeaseStatus::Held], "as another request, on any server");
    assert_eq!(local.store.queues().await.unwrap(), jobs, "it has no effect a second time");
}

#[tokio::test]
async fn jobs_that_were_claimed_and_not_heard_of_are_claimed_again_at_no_cost() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    for _ in 0..3 {
        remote.enqueue(job()).await;
    }
    proxy.lose(2);
    let claimed = remote.claim(claim()).await;
    assert!(proxy.lost_all());
    assert_eq!(claimed.len(), 3);
    for claimed in claimed {
        assert_eq!(claimed.attempt, 1);
        let record = local.job(&claimed.lease.id).await;
        assert_eq!((record.attempt, record.crashes, record.interruptions), (1, 0, 0));
        assert_eq!(remote.heartbeat(&claimed.lease).await, LeaseStatus::Held, "it is the last claim's");
    }
}

#[tokio::test]
async fn a_turn_whose_answer_was_lost_ends_once_and_claims_anew() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    let first = remote.running().await.lease;
    let second = remote.enqueue(job()).await;
    proxy.lose(2);
    let turn = remote.finish_and_claim(vec![finish(&first, completed())], claim()).await;
    assert!(proxy.lost_all());
    assert_eq!(turn.finished, [LeaseStatus::Held]);
    assert_eq!((turn.claimed.len(), &turn.claimed[0].lease.id), (1, &second));
    assert_eq!(remote.heartbeat(&turn.claimed[0].lease).await, LeaseStatus::Held);
    assert_eq!(local.job(&second).await.attempt, 1);
}

#[tokio::test]
async fn jobs_that_were_enqueued_and_not_heard_of_are_created_once() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    proxy.lose(2);
    let answers = remote.enqueue_all(vec![job(), job(), named("mine")]).await;
    assert!(proxy.lost_all());
    let statuses: Vec<EnqueueStatus> = answers.iter().map(|answer| answer.status).collect();
    // Whose id was given, that one may have been there before.
    assert_eq!(statuses, [EnqueueStatus::Created, EnqueueStatus::Created, EnqueueStatus::Duplicate]);
    assert_eq!(local.claim(claim()).await.len(), 3);
}

#[tokio::test]
async fn a_signal_whose_receipt_was_lost_is_known_to_be_accepted() {
    let Lossy { remote, proxy, .. } = &lossy().await;
    let job = remote.enqueue(job()).await;
    let value = Json::new(&1).unwrap();
    proxy.lose(2);
    assert_eq!(remote.store.signal(&job, "go", &value).await.unwrap(), Signalled::Accepted);
    assert!(proxy.lost_all());
    assert_eq!(remote.store.signal(&job, "go", &value).await.unwrap(), Signalled::Sent);
}

#[tokio::test]
async fn an_action_whose_count_was_lost_is_counted() {
    let Lossy { remote, proxy, .. } = &lossy().await;
    remote.enqueue(named("a")).await;
    proxy.lose(1);
    assert_eq!(remote.act(&id("a"), Action::cancel(Duration::ZERO)).await, 1);
    assert!(proxy.lost_all());
}

#[tokio::test]
async fn a_claim_that_nobody_can_answer_gives_back_what_it_took() {
    let Lossy { remote, local, proxy, .. } = &lossy().await;
    let taken = remote.enqueue(job()).await;
    // As often as the claim is sent; what is sent after that, to give back what it took, gets through.
    proxy.lose(4);
    let failed = remote.store.claim(Claim { queues: vec![slots("images", 1)], ..claim() }).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })), "{failed:?}");
    let waiting = Claim { wait: Duration::from_secs(3600), ..claim() };
    let claimed = tokio::time::timeout(Duration::from_secs(60), local.store.claim(waiting)).await.unwrap();
    let claimed = claimed.unwrap();
    assert_eq!((&claimed[0].lease.id, claimed[0].attempt), (&taken, 1));
    assert_eq!(local.job(&taken).await.crashes, 0);
}

#[tokio::test]
async fn a_network_that_is_down_is_a_fault_after_a_few_tries_and_not_for_ever() {
    let Lossy { remote, proxy, .. } = &lossy().await;
    proxy.cut();
    let before = proxy.connections();
    let failed = remote.store.heartbeat(&worker("w1"), &[], Duration::from_secs(30)).await;
    assert!(matches!(failed, Err(Error::Unavailable { store: "remote", .. })), "{failed:?}");
    let tried = proxy.connections() - before;
    assert!((1..=8).contains(&tried), "a few tries, not {tried}");
    proxy.mend();
    assert!(remote.store.heartbeat(&worker("w1"), &[], Duration::from_secs(30)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_address_without_a_server_is_a_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = RemoteStore::connect(&url, None).await.unwrap_err();
    assert!(matches!(failed, Error::Unavailable { .. }), "{failed}");
    assert!(RemoteStore::new(&url, None).is_ok(), "a worker may start before its server");
}

#[tokio::test]
async fn a_server_whose_store_is_away_is_a_fault_at_once() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let refuse = move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")], "away") }
    };
    let router = Router::new().fallback(refuse);
    let server = Server::of(router, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let failed = RemoteStore::connect(&server.url, None).await.unwrap_err();
    assert!(matches!(failed, Error::Unavailable { .. }), "{failed}");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "its caller waits, and asks again");
}

#[tokio::test]
async fn a_refusal_says_what_may_be_wrong() {
    let config = HttpConfig {
        access: Access::Bearer { token: Secret(b"s3cret".to_vec()), verifier: None },
        worker_token: Some(Secret(b"w0rker".to_vec())),
        ..HttpConfig::default()
    };
    let server = Server::over(Arc::new(MemoryStore::new()), config).await;
    for token in ["w0rker", "s3cret"] {
        let store = RemoteStore::connect(&server.url, Some(token)).await.unwrap();
        assert!(!format!("{store:?}").contains(token), "{store:?}");
    }
    let refusal = async |token| RemoteStore::connect(&server.url, token).await.unwrap_err().to_string();
    assert!(refusal(Some("guess")).await.contains("is the token the server's worker token?"));
    assert!(refusal(None).await.contains("a bearer token is needed"));
    let elsewhere = RemoteStore::connect(&format!("{}/v2", server.url), Some("w0rker")).await;
    let said = elsewhere.unwrap_err().to_string();
    assert!(said.contains("is this the address of a server's API"), "{said}");
    let with_path = RemoteStore::connect(&format!("{}/api/", server.url), Some("w0rker")).await;
    assert!(with_path.is_ok());
    for url in ["", "jobs", "ftp://127.0.0.1", "redis://127.0.0.1"] {
        assert!(matches!(RemoteStore::new(url, None), Err(Error::Invalid { .. })), "{url}");
    }
    assert!(matches!(RemoteStore::new(&server.url, Some("a\nb")), Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn what_no_request_can_carry_fails_its_job_and_says_so() {
    let Lossy { remote, local, .. } = &lossy().await;
    let leases = remote.claim_many(3).await;
    let text = |bytes: usize| Json::new(&"x".repeat(bytes)).unwrap();
    let large = finish(&leases[0], Outcome::Completed { output: text(2 * 1024 * 1024) });
    let entries = vec![Entry::Chunk { data: text(60_000) }; 300];
    let larger = Finish { entries, ..finish(&leases[1], completed()) };
    let small = finish(&leases[2], completed());
    assert_eq!(remote.finish_all(vec![large, larger, small]).await, [LeaseStatus::Held; 3]);
    assert_eq!(local.state(&leases[2].id).await, State::Completed);
    for (lease, reason) in
        [(&leases[0], "output: must be at most"), (&leases[1], "a remote store takes at most")]
    {
        let failed = local.job(&lease.id).await;
        assert_eq!(failed.state, State::Failed);
        assert!(failed.errors[0].message.contains(reason), "{:?}", failed.errors);
    }
}

#[tokio::test]
async fn a_record_larger_than_a_request_arrives_whole_and_in_order() {
    let Lossy { remote, local, .. } = &lossy().await;
    let leases = remote.claim_many(2).await;
    let chunk = |n: usize| Entry::Chunk { data: Json::new(&format!("{n}{}", "x".repeat(60_000))).unwrap() };
    let records = vec![
        Record { lease: leases[0].clone(), entries: (0..200).map(chunk).collect() },
        Record { lease: leases[1].clone(), entries: vec![chunk(0)] },
    ];
    assert_eq!(remote.record_all(records).await, [LeaseStatus::Held; 2]);
    let events = local.events(&leases[0].id).await;
    let numbers: Vec<String> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Chunk { data } => Some(data.as_str().trim_matches(['"', 'x']).to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (0..200).map(|n: i32| n.to_string()).collect::<Vec<_>>());
}
