//! Limit keys in the tables: as several processes and releases see them, and what they cost.

use std::time::Duration;

use longhaul::{
    Action, Claim, Clock, Cost, JobFilter, KeyConfig, KeyFilter, KeyInfo, Lease, NewJob, Policy, QueueConfig,
    Start, State, Store,
};
use longhaul_conformance::jobs::{claim, completed, finish, id, job, limited, named, retry, slots};
use longhaul_postgres::tokio_postgres::{Client, Row};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::{Server, shared};

const LONG: Duration = Duration::from_secs(300);

/// A process that does not look for jobs by itself within a test.
async fn open(options: &PostgresOptions) -> PostgresStore {
    PostgresStore::open(PostgresOptions { look_every: 10 * LONG, ..options.clone() }).await.unwrap()
}

async fn set_slots(store: &PostgresStore, key: &str, slots: u32) {
    let config = KeyConfig { slots: Some(slots), ..KeyConfig::default() };
    store.set_key(key, Some(&config)).await.unwrap();
}

async fn key(store: &PostgresStore, name: &str) -> KeyInfo {
    let filter = KeyFilter { names: vec![name.to_owned()], limit: 1, ..KeyFilter::default() };
    store.keys(&filter).await.unwrap().remove(0)
}

async fn claim_leases(store: &PostgresStore) -> Vec<Lease> {
    store.claim(claim()).await.unwrap().into_iter().map(|job| job.lease).collect()
}

fn ids(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.id.as_str()).collect()
}

#[tokio::test]
async fn a_waiting_claim_hears_that_another_process_gave_a_slot_back() {
    let options = shared().options();
    let (one, other) = (open(&options).await, open(&options).await);
    set_slots(&one, "provider", 1).await;
    one.enqueue(["a", "b", "c"].map(|name| limited(name, &["provider"])).into()).await.unwrap();
    let mut running = claim_leases(&other).await;
    for name in ["b", "c"] {
        assert_eq!(running.len(), 1);
        let mut waiting = Box::pin(one.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        other.finish(vec![finish(&running[0], completed())]).await.unwrap();
        let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("nobody told it").unwrap();
        running = claimed.into_iter().map(|job| job.lease).collect();
        assert_eq!(ids(&running), [name]);
    }
}

/// A job that costs more than is free keeps back those of its key behind it.
#[tokio::test]
async fn a_waiting_claim_hears_of_a_job_that_goes_or_moves_and_kept_back_others_of_its_limit_key() {
    let options = shared().options();
    let (one, other) = (open(&options).await, open(&options).await);
    set_slots(&one, "provider", 3).await;
    one.enqueue(vec![limited("holder", &["provider"])]).await.unwrap();
    claim_leases(&one).await;
    let ways = [Action::cancel(LONG), Action::SetPriority { priority: -20 }];
    for (n, (store, way)) in
        [&one, &other].into_iter().flat_map(|store| ways.iter().map(move |way| (store, way))).enumerate()
    {
        let (large, small) = (format!("large-{n}"), format!("small-{n}"));
        let policy = Policy { cost: Cost { slots: 3, rate: 1 }, ..Policy::default() };
        let jobs = vec![NewJob { policy, ..limited(&large, &["provider"]) }, limited(&small, &["provider"])];
        one.enqueue(jobs).await.unwrap();
        let mut waiting = Box::pin(one.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        // Behind the claim, which has found nothing by then.
        one.ready().await.unwrap();
        let only = JobFilter { ids: vec![id(&large)], ..JobFilter::default() };
        assert_eq!(store.act(&only, way.clone(), 1).await.unwrap().done, 1);
        let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("nobody told it").unwrap();
        assert_eq!(claimed[0].lease.id, id(&small), "{way:?}");
        one.finish(vec![finish(&claimed[0].lease, completed())]).await.unwrap();
        one.act(&only, Action::cancel(LONG), 1).await.unwrap();
    }
}

/// Statements of many jobs note for themselves what becomes of those with keys, and a trigger does it for all others.
#[tokio::test]
async fn what_becomes_of_jobs_with_keys_is_noted_once_whoever_notes_it() {
    let options = shared().options();
    let clock = Clock::manual();
    let store = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let keyed = |name: Option<&str>| NewJob { id: name.map(id), ..limited("its-id-is-drawn", &["provider"]) };
    let noted = || async {
        let info = key(&store, "provider").await;
        (info.waiting, info.used)
    };
    // With an id that is drawn by the statement of simple jobs, beside one without keys and one to come; by another with one.
    let later = NewJob { start: Start::After(Duration::from_secs(60)), ..keyed(None) };
    store.enqueue(vec![keyed(None), job(), keyed(None), later]).await.unwrap();
    store.enqueue(vec![keyed(Some("named"))]).await.unwrap();
    let sql = "SELECT count(*) FROM arrivals WHERE limit_key = 'provider'";
    let arrivals: i64 = client(&options).await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!((arrivals, noted().await), (3, (3, 0)));
    let running = claim_leases(&store).await;
    assert_eq!((running.len(), noted().await), (4, (0, 3)));
    // Two ends in one statement, and another after a retry, which is none of many jobs.
    let (last, others) = running.split_last().unwrap();
    store.finish(others.iter().map(|lease| finish(lease, completed())).collect()).await.unwrap();
    assert_eq!(noted().await, (0, 1));
    store.finish(vec![finish(last, retry(Duration::ZERO))]).await.unwrap();
    clock.advance(Duration::from_secs(60));
    store.sweep(100).await.unwrap();
    assert_eq!(noted().await, (2, 0));
    let running = claim_leases(&store).await;
    assert_eq!((running.len(), noted().await), (2, (0, 2)));
    let ends = running.iter().map(|lease| finish(lease, completed())).collect();
    store.finish_and_claim(ends, claim()).await.unwrap();
    assert_eq!(noted().await, (0, 0));
}

#[tokio::test]
async fn while_another_process_looks_after_limits_jobs_without_keys_are_claimed_and_the_others_soon_after() {
    let options = shared().options();
    let store = open(&options).await;
    set_slots(&store, "provider", 1).await;
    store.enqueue(vec![limited("keyed", &["provider"]), named("plain")]).await.unwrap();
    let other = client(&options).await;
    let lock = format!("hashtextextended('{}:limits', 0)", options.schema);
    other.batch_execute(&format!("SELECT pg_advisory_lock({lock})")).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["plain"]);
    let mut waiting = Box::pin(store.claim(Claim { wait: LONG, ..claim() }));
    assert!(futures::poll!(&mut waiting).is_pending());
    // Behind the claim on its connection, so that it has found the lock taken.
    store.pause_queue("elsewhere").await.unwrap();
    other.batch_execute(&format!("SELECT pg_advisory_unlock({lock})")).await.unwrap();
    let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("it does not look again").unwrap();
    assert_eq!(claimed[0].lease.id, id("keyed"));
}

#[tokio::test]
async fn a_claim_that_does_not_wait_finds_the_free_job_behind_thousands_that_have_just_come() {
    let store = open(&shared().options()).await;
    store.pause_key("paused", LONG).await.unwrap();
    let jobs = (0..9_000)
        .map(|n| NewJob { limit_keys: vec!["paused".into(), format!("tenant:{}", n % 1_000)], ..job() });
    store.enqueue(jobs.chain([limited("free", &["own"])]).collect()).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["free"]);
}

#[tokio::test]
async fn a_claim_that_does_not_wait_ends_though_another_process_keeps_the_lock_of_limits() {
    let options = shared().options();
    let store = open(&options).await;
    store.enqueue(vec![limited("keyed", &["own"])]).await.unwrap();
    let other = client(&options).await;
    let lock = format!("hashtextextended('{}:limits', 0)", options.schema);
    other.batch_execute(&format!("SELECT pg_advisory_lock({lock})")).await.unwrap();
    assert!(claim_leases(&store).await.is_empty());
    other.batch_execute(&format!("SELECT pg_advisory_unlock({lock})")).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["keyed"]);
}

#[tokio::test]
async fn what_runs_take_and_give_back_is_counted_whoever_writes_it() {
    let options = shared().options();
    let store = open(&options).await;
    let other = client(&options).await;
    set_slots(&store, "provider", 2).await;
    // As a release does that knows no limits but pauses.
    for name in ["a", "b", "c"] {
        let insert = format!(
            "INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, args,
                               limit_key, created_at, state_at)
             VALUES (nextval('numbers'), '{name}', 'resize', 1, 'images', 'available', 0, 1000, 1000, 3, 5, '{{}}',
                     'provider', 1000, 1000)"
        );
        other.batch_execute(&insert).await.unwrap();
    }
    let run = "UPDATE jobs SET state = 'running', token = 7, lease_until = 1 + (extract(epoch FROM now()) * 2000)::bigint
               WHERE id = ";
    other.batch_execute(&format!("{run} 'b'")).await.unwrap();
    assert_eq!((key(&store, "provider").await.used, key(&store, "provider").await.waiting), (1, 2));
    let first = claim_leases(&store).await;
    assert_eq!(ids(&first), ["a"]);
    other
        .batch_execute("UPDATE jobs SET state = 'completed', lease_until = NULL WHERE id = 'b'")
        .await
        .unwrap();
    assert_eq!(key(&store, "provider").await.used, 1);
    // It gives a job back to where it was in its own order.
    other
        .batch_execute("UPDATE jobs SET state = 'available', rank = 900, lease_until = NULL WHERE id = 'a'")
        .await
        .unwrap();
    store.sweep(10).await.unwrap();
    let second = claim_leases(&store).await;
    assert_eq!(ids(&second), ["a", "c"]);
    other.batch_execute("DELETE FROM jobs WHERE id = 'c'").await.unwrap();
    store.finish(vec![finish(&second[0], completed())]).await.unwrap();
    assert_eq!(key(&store, "provider").await.used, 0, "of a run whose row is gone, too");
}

#[tokio::test]
async fn jobs_with_keys_that_wait_or_run_while_the_store_is_migrated_are_limited() {
    let options = shared().options();
    let other = client(&options).await;
    let before = [
        include_str!("../../src/migrations/0001_jobs.sql"),
        include_str!("../../src/migrations/0002_room_for_versions.sql"),
        include_str!("../../src/migrations/0003_containment.sql"),
        include_str!("../../src/migrations/0004_people.sql"),
    ];
    let schema = &options.schema;
    let made = format!(
        "CREATE SCHEMA IF NOT EXISTS \"{schema}\"; CREATE TABLE schema_version (version INT NOT NULL); {}
         UPDATE schema_version SET version = 4; INSERT INTO schema_version (version) VALUES (4);
         INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, args,
                           limit_key, created_at, state_at, token, lease_until)
         SELECT nextval('numbers'), name, 'resize', 1, 'images', state, 0, n, n, 3, 5, '{{}}', key, n, n, 7, lease_until
         FROM (VALUES ('runs', 'running', 1, 'provider', 9999999999999), ('waits', 'available', 2, 'provider', NULL),
                      ('paused', 'available', 3, 'paused', NULL), ('later', 'scheduled', 4, 'provider', NULL),
                      ('plain', 'available', 5, NULL, NULL))
           AS job (name, state, n, key, lease_until);
         INSERT INTO count_deltas (queue, state, n)
         SELECT queue, state, count(*) FROM jobs GROUP BY queue, state;
         INSERT INTO pauses (limit_key, until) VALUES ('paused', 9999999999999);",
        before.join("\n")
    );
    other.batch_execute(&made).await.unwrap();
    let store = open(&options).await;
    set_slots(&store, "provider", 2).await;
    assert_eq!((key(&store, "provider").await.used, key(&store, "provider").await.waiting), (1, 1));
    let claimed = claim_leases(&store).await;
    assert_eq!(ids(&claimed), ["waits", "plain"], "in their order; the other is due, and there is no slot");
    let runs = Lease { id: id("runs"), token: 7 };
    store.finish(vec![finish(&runs, completed())]).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["later"]);
    store.resume_key("paused").await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["paused"]);
}

#[tokio::test]
async fn a_slot_that_a_run_took_is_free_once_the_run_was_rescued_though_the_server_was_killed_meanwhile() {
    // The system keeps what the server has written, synced or not, when only the server is killed.
    let settings = ["fsync=off"];
    let mut server = Server::start(&settings);
    let (options, clock) = (server.options(), Clock::manual());
    let store = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    set_slots(&store, "provider", 1).await;
    store.enqueue(vec![limited("a", &["provider"]), limited("b", &["provider"])]).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["a"]);
    server.kill();
    drop(store);
    server.restart(&settings);
    let next = PostgresStore::open_with_clock(options, clock.clone()).await.unwrap();
    assert!(claim_leases(&next).await.is_empty());
    clock.advance(LONG);
    next.sweep(10).await.unwrap();
    assert_eq!(key(&next, "provider").await.used, 0);
    assert_eq!(ids(&claim_leases(&next).await), ["a"]);
}

/// The pages that the server has looked at in statements since the last time, and the statements that looked at most.
async fn pages(client: &Client) -> (i64, Vec<String>) {
    let all =
        "SELECT shared_blks_hit + shared_blks_read, calls, query FROM pg_stat_statements ORDER BY 1 DESC";
    let rows = client.query(all, &[]).await.unwrap();
    let told = |row: &Row| {
        format!("{} in {}: {:.200}", row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, &str>(2))
    };
    client.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    (rows.iter().map(|row| row.get::<_, i64>(0)).sum(), rows.iter().take(9).map(told).collect())
}

/// Jobs that wait behind keys which keep them back.
const MANY: usize = 4_000;

/// The pages that it takes to enqueue and claim a job without keys, and one whose key is free, and to pause a key.
async fn cost(store: &PostgresStore, client: &Client, name: &str) -> (i64, Vec<String>) {
    // Once for the caches.
    let turn = async |n: u32| {
        let (plain, keyed) = (format!("{name}-plain-{n}"), format!("{name}-keyed-{n}"));
        store.enqueue(vec![named(&plain), limited(&keyed, &["free"])]).await.unwrap();
        let claimed = claim_leases(store).await;
        assert_eq!(ids(&claimed), [plain.as_str(), keyed.as_str()]);
        store.finish(claimed.iter().map(|lease| finish(lease, completed())).collect()).await.unwrap();
        store.pause_key("provider", LONG).await.unwrap();
    };
    turn(0).await;
    pages(client).await;
    turn(1).await;
    pages(client).await
}

#[tokio::test]
async fn very_many_jobs_and_keys_that_are_kept_back_cost_others_nothing() {
    let server =
        Server::start(&["fsync=off", "shared_preload_libraries=pg_stat_statements", "autovacuum=off"]);
    let options = server.options();
    let store = open(&options).await;
    let client = client(&options).await;
    client.batch_execute("CREATE EXTENSION pg_stat_statements SCHEMA public").await.unwrap();
    client.batch_execute("SET search_path = public").await.unwrap();
    store.pause_key("provider", LONG).await.unwrap();
    set_slots(&store, "free", 1).await;
    let (empty, _) = cost(&store, &client, "empty").await;

    let behind = |keys: Vec<String>| NewJob { limit_keys: keys, ..job() };
    let one_key: Vec<NewJob> = (0..MANY).map(|_| behind(vec!["provider".into()])).collect();
    let many_keys = (0..MANY).map(|n| behind(vec![format!("tenant:{n}"), "provider".into()])).collect();
    for (what, jobs) in [("of-one-key", one_key), ("of-many", many_keys)] {
        store.enqueue(jobs).await.unwrap();
        // It looks until all that have come are behind the gate, some hundreds at a time.
        assert!(claim_leases(&store).await.is_empty());
        // As the server does by itself, sooner or later.
        client.batch_execute(&format!("VACUUM \"{}\".arrivals", options.schema)).await.unwrap();
        let (many, most) = cost(&store, &client, what).await;
        assert!(
            many < empty * 3 / 2 + 100,
            "{many} pages behind {MANY} jobs {what}, and {empty} without them: {most:#?}"
        );
    }
    assert_eq!(store.queues().await.unwrap()[0].counts.get(&State::Available), Some(&(2 * MANY as u64)));
}

#[tokio::test]
async fn a_fair_queue_takes_its_turns_from_every_process() {
    let options = shared().options();
    let (one, other) = (open(&options).await, open(&options).await);
    one.set_queue("images", &QueueConfig { fair: true, ..QueueConfig::default() }).await.unwrap();
    let jobs = |key: &'static str| (0..3).map(move |n| limited(&format!("{key}{n}"), &[key]));
    one.enqueue(jobs("a").chain(jobs("b")).collect()).await.unwrap();
    let single = || Claim { queues: vec![slots("images", 1)], ..claim() };
    let mut taken = Vec::new();
    for store in [&one, &other, &other, &one, &other, &one] {
        taken.extend(store.claim(single()).await.unwrap().into_iter().map(|job| job.lease.id.to_string()));
    }
    assert_eq!(taken, ["a0", "b0", "a1", "b1", "a2", "b2"]);
}
