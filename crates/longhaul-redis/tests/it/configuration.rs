//! Requirements of a server, and things that it may forget.

use longhaul::{Claim, Clock, Error, LeaseStatus, NewJob, Outcome, Start, State, Store};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{
    HOUR, chunk, claim, completed, finish, id, job, named, slots, step, unique, worker,
};
use longhaul_redis::RedisStore;

use crate::server::{Server, shared};

#[tokio::test]
async fn an_evicting_server_is_refused() {
    let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = RedisStore::open(server.options()).await.unwrap_err().to_string();
    assert!(error.contains("allkeys-lru") && error.contains("set maxmemory-policy to noeviction"), "{error}");

    server.say("CONFIG SET maxmemory-policy noeviction");
    RedisStore::open(server.options()).await.unwrap();
    server.say("CONFIG SET maxmemory-policy volatile-ttl");
    server.say("CONFIG SET maxmemory 0");
    RedisStore::open(server.options()).await.unwrap();
}

#[tokio::test]
async fn a_full_server_refuses_new_jobs_and_goes_on_with_those_it_has() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(server.options(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    fx.enqueue_all(vec![named("a"), named("b"), named("c")]).await;
    server.say("CONFIG SET maxmemory 1");

    let refused = fx.store.enqueue(vec![named("d")]).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    let unready = fx.store.ready().await;
    assert!(matches!(unready, Err(Error::Full { .. })), "{unready:?}");
    let leases: Vec<_> = fx.claim(claim()).await.into_iter().map(|claimed| claimed.lease).collect();
    assert_eq!(leases.len(), 3);
    fx.heartbeat(&leases[0]).await;
    fx.end(&leases[0], completed()).await;
    fx.clock.advance(25 * HOUR);
    let swept = fx.sweep().await;
    assert_eq!((swept.rescued, swept.pruned), (2, 1));

    server.say("CONFIG SET maxmemory 0");
    fx.store.ready().await.unwrap();
    fx.enqueue(named("d")).await;
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let options = shared().options();
    RedisStore::open(options.clone()).await.unwrap();
    shared().say(&format!("SET {{{}}}:schema 99", options.prefix));
    let error = RedisStore::open(options).await.unwrap_err();
    assert!(matches!(error, Error::Store { .. }) && error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error() {
    let mut server = Server::start(&[]);
    server.kill();
    let error = RedisStore::open(server.options()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    server.restart(&[]);
    RedisStore::open(server.options()).await.unwrap();
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_taught_again() {
    // A server of its own: the other tests' stores would teach the shared one.
    let server = Server::start(&[]);
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(server.options(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    for _ in 0..3 {
        server.say("SCRIPT FLUSH SYNC");
        let lease = fx.running().await.lease;
        server.say("SCRIPT FLUSH SYNC");
        fx.end(&lease, completed()).await;
    }
    assert_eq!(fx.counts("images").await, [(State::Completed, 3)].into());
}

#[tokio::test]
async fn nothing_is_left_of_what_is_gone() {
    let options = shared().options();
    let pattern = format!("{{{}}}:*", options.prefix);
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(options, clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    for _ in 0..3 {
        let lease = fx.running_from(unique("k", Some(HOUR))).await.lease;
        fx.record(&lease, vec![step("ocr", "1"), chunk("2")]).await;
        let long = longhaul::Json::new(&"x".repeat(2_000)).unwrap();
        fx.end(&lease, Outcome::Completed { output: long }).await;
        fx.clock.advance(2 * HOUR);
    }
    let broken = fx.running_from(named("broken")).await.lease;
    fx.record(&broken, vec![step("ocr", "1"), chunk("2")]).await;
    fx.end(&broken, longhaul_conformance::jobs::failed()).await;
    fx.act(&id("broken"), longhaul::Action::Delete).await;
    fx.heartbeat_all(&worker("w1"), &[], HOUR).await;
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let child = NewJob { parent: Some(id("closing")), limit_keys: vec!["provider".into()], ..job() };
    fx.enqueue_all(vec![closing, child]).await;
    let limited = fx.claim_one().await.lease;
    fx.end(&limited, Outcome::RateLimited { delay: HOUR }).await;
    fx.clock.advance(HOUR);
    for _ in 0..2 {
        let last = fx.claim_one().await.lease;
        fx.end(&last, completed()).await;
    }
    for _ in 0..3 {
        fx.clock.advance(25 * HOUR);
        fx.sweep().await;
    }
    let mut left: Vec<String> = shared().tell(longhaul_redis::redis::cmd("KEYS").arg(&pattern)).unwrap();
    left.sort();
    let root = pattern.trim_end_matches('*');
    assert_eq!(left, ["last", "prune", "running", "schema"].map(|name| format!("{root}{name}")));
}

#[tokio::test]
async fn a_call_of_very_many_jobs_is_one() {
    const MANY: usize = 12_000;
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(shared().options(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    fx.enqueue_all((0..MANY).map(|_| job()).collect()).await;
    assert_eq!(fx.counts("images").await, [(State::Available, MANY as u64)].into());
    let all = Claim { queues: vec![slots("images", MANY)], ..claim() };
    let mut ended = 0;
    while ended < MANY {
        let claimed = fx.claim(all.clone()).await;
        assert!(!claimed.is_empty());
        ended += claimed.len();
        let ends = claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect();
        assert!(fx.finish_all(ends).await.iter().all(|status| *status == LeaseStatus::Held));
    }
    assert_eq!(fx.counts("images").await, [(State::Completed, MANY as u64)].into());
    fx.clock.advance(25 * HOUR);
    assert_eq!(fx.sweep_some(MANY).await.pruned, MANY as u64);
}

#[tokio::test]
async fn a_store_is_usable_as_any_other() {
    let store: std::sync::Arc<dyn Store> =
        std::sync::Arc::new(RedisStore::connect(&shared().url()).await.unwrap());
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_data_folder_is_gone_refuses_writes_as_an_outage_and_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let dir = data.display().to_string();
    let server =
        Server::start(&["--dir", &dir, "--save", "3600 1000000", "--enable-protected-configs", "yes"]);
    let store = RedisStore::open(server.options()).await.unwrap();
    store.ready().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    let saves = |outcome: &str| {
        server.say("BGSAVE");
        let wanted = format!("rdb_last_bgsave_status:{outcome}");
        loop {
            let info: String = server.tell(longhaul_redis::redis::cmd("INFO").arg("persistence")).unwrap();
            if info.contains("rdb_bgsave_in_progress:0") && info.contains(&wanted) {
                return;
            }
            std::thread::yield_now();
        }
    };
    saves("err");
    for refused in [store.ready().await, store.enqueue(vec![named("a")]).await.map(drop)] {
        assert!(matches!(refused, Err(Error::Full { .. } | Error::Broken { .. })), "{refused:?}");
    }
    std::fs::create_dir(&data).unwrap();
    server.say(&format!("CONFIG SET dir {dir}"));
    saves("ok");
    store.ready().await.unwrap();
    store.enqueue(vec![named("a")]).await.unwrap();
}
