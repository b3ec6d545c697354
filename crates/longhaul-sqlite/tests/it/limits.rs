//! Limit keys across processes, releases and crashes.

use std::time::Duration;

use longhaul::{
    Claimed, Clock, JobId, KeyConfig, KeyFilter, KeyInfo, NewJob, QueueConfig, Start, Store, process_id,
};
use longhaul_sqlite::SqliteStore;
use longhaul_sqlite::rusqlite::Connection;

use crate::owner::{claim, close, completed, job};
use crate::releases::{Previous, file};

/// Far beyond the 100 ms within which a change is noticed: only a lost wake-up takes this long.
const GUARD: Duration = Duration::from_secs(60);

fn limited(name: &str, keys: &[&str]) -> NewJob {
    NewJob { limit_keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..job(name) }
}

fn slots(slots: u32) -> KeyConfig {
    KeyConfig { slots: Some(slots), ..KeyConfig::default() }
}

async fn key(store: &SqliteStore, name: &str) -> KeyInfo {
    let filter = KeyFilter { names: vec![name.to_owned()], limit: 1, ..KeyFilter::default() };
    store.keys(&filter).await.unwrap().remove(0)
}

async fn claim_ids(store: &SqliteStore) -> Vec<String> {
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    claimed.into_iter().map(|job| job.lease.id.to_string()).collect()
}

#[tokio::test]
async fn a_waiting_claim_hears_of_what_another_process_does_to_the_keys_of_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) =
        (SqliteStore::open(file(&folder)).await.unwrap(), SqliteStore::open(file(&folder)).await.unwrap());
    other.set_key("provider", Some(&slots(1))).await.unwrap();
    let names = ["a", "b", "c", "d"];
    one.enqueue(names.map(|name| limited(name, &["provider"])).into()).await.unwrap();
    let first = other.claim(claim("w2", process_id(), Duration::ZERO)).await.unwrap();
    let finished = vec![completed(&first[0])];
    for name in &names[1..] {
        let mut waiting = Box::pin(one.claim(claim("w", process_id(), 10 * GUARD)));
        assert!(futures::poll!(&mut waiting).is_pending());
        // By the same thread, and so after the claim has been parked.
        one.sweep(1).await.unwrap();
        match *name {
            "b" => drop(other.finish(finished.clone()).await.unwrap()),
            "c" => other.set_key("provider", Some(&slots(2))).await.unwrap(),
            _ => other.set_key("provider", None).await.unwrap(),
        }
        let claimed = tokio::time::timeout(GUARD, waiting).await.unwrap().unwrap();
        assert_eq!(claimed[0].lease.id.as_str(), *name);
    }
    one.enqueue(vec![limited("e", &["provider"])]).await.unwrap();
    other.pause_key("provider", Duration::MAX).await.unwrap();
    let mut waiting = Box::pin(one.claim(claim("w", process_id(), 10 * GUARD)));
    assert!(futures::poll!(&mut waiting).is_pending());
    one.sweep(1).await.unwrap();
    other.resume_key("provider").await.unwrap();
    let claimed = tokio::time::timeout(GUARD, waiting).await.unwrap().unwrap();
    assert_eq!(claimed[0].lease.id.as_str(), "e");
}

#[tokio::test]
async fn a_claim_that_does_not_wait_looks_at_all_jobs_before_it_answers_that_there_is_none() {
    const MANY: usize = 1_200;
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
    let store = SqliteStore::open_with_clock(file(&folder), clock.clone()).await.unwrap();
    store.pause_key("paused", Duration::MAX).await.unwrap();
    let second = Duration::from_secs(1);
    let names = |what| (0..MANY).map(move |n| format!("{what}-{n}"));
    let kept_back: Vec<NewJob> = names("kept-back").map(|name| limited(&name, &["paused", &name])).collect();
    let over: Vec<NewJob> =
        names("over").map(|name| NewJob { expires_in: Some(second), ..job(&name) }).collect();
    let keyed: Vec<NewJob> = names("keyed-over")
        .map(|name| NewJob { expires_in: Some(second), ..limited(&name, &[&name]) })
        .collect();
    let due: Vec<NewJob> = names("due")
        .map(|name| NewJob { kind: "other".into(), start: Start::After(second), ..job(&name) })
        .collect();
    let mut found = Vec::new();
    for (jobs, keys) in [(kept_back, [].as_slice()), (over, &[]), (keyed, &["own"]), (due, &[])] {
        store.enqueue(jobs).await.unwrap();
        let free = format!("free-{}", found.len());
        store.enqueue(vec![NewJob { start: Start::After(second), ..limited(&free, keys) }]).await.unwrap();
        clock.advance(2 * second);
        found.push(claim_ids(&store).await.join(","));
    }
    assert_eq!(found, ["free-0", "free-1", "free-2", "free-3"]);
    assert!(claim_ids(&store).await.is_empty());
}

#[tokio::test]
async fn slots_of_runs_that_went_missing_are_free_once_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.set_key("provider", Some(&slots(2))).await.unwrap();
    let jobs = ["lost", "dead", "waits"].map(|name| limited(name, &["provider", "tenant"]));
    store.enqueue(jobs.into()).await.unwrap();
    assert_eq!(claim_ids(&store).await, ["lost", "dead"]);
    let lose = "DELETE FROM jobs WHERE id = 'lost'";
    store.transact(move |tx| tx.connection().execute(lose, [])).await.unwrap().unwrap();
    assert_eq!((key(&store, "provider").await.used, key(&store, "tenant").await.used), (2, 2));
    assert!(claim_ids(&store).await.is_empty());
    close(store).await;
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    assert_eq!((key(&store, "provider").await.used, key(&store, "tenant").await.used), (0, 0));
    assert_eq!(claim_ids(&store).await, ["dead", "waits"]);
}

#[tokio::test]
async fn jobs_with_keys_that_wait_or_run_while_the_file_is_migrated_are_counted_and_limited() {
    let folder = tempfile::tempdir().unwrap();
    let old = Connection::open(file(&folder)).unwrap();
    old.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    for migration in [
        include_str!("../../src/migrations/0001_jobs.sql"),
        include_str!("../../src/migrations/0002_limits_and_batches.sql"),
        include_str!("../../src/migrations/0003_compatibility.sql"),
        include_str!("../../src/migrations/0004_containment.sql"),
        include_str!("../../src/migrations/0005_pauses_steps_samples.sql"),
        "INSERT INTO compatibility VALUES (1, 2); PRAGMA user_version = 5",
    ] {
        old.execute_batch(migration).unwrap();
    }
    old.execute("INSERT INTO pauses VALUES ('paused', ?1)", [i64::MAX]).unwrap();
    let previous = Previous::open(&file(&folder));
    previous.insert_keyed(1_001, "runs", Some("provider"));
    previous.claim(1);
    previous.insert_keyed(1_002, "waits", Some("provider"));
    previous.insert_keyed(1_003, "of-paused", Some("paused"));
    previous.insert(1_004, "plain");

    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.set_key("provider", Some(&slots(1))).await.unwrap();
    assert_eq!(key(&store, "provider").await.used, 1);
    assert!(key(&store, "paused").await.closed_until.is_some());
    assert_eq!(claim_ids(&store).await, ["plain"]);
    assert_eq!((key(&store, "provider").await.waiting, key(&store, "paused").await.waiting), (1, 1));
    // The release before ends its run, and knows nothing of slots.
    previous.complete("runs");
    assert!(claim_ids(&store).await.is_empty());
    store.sweep(10).await.unwrap();
    assert_eq!(key(&store, "provider").await.used, 0);
    assert_eq!(claim_ids(&store).await, ["waits"]);
    store.sweep(10).await.unwrap();
    assert_eq!(key(&store, "provider").await.used, 1, "once");
    store.resume_key("paused").await.unwrap();
    assert_eq!(claim_ids(&store).await, ["of-paused"]);
}

#[tokio::test]
async fn the_previous_release_finds_jobs_with_keys_and_this_one_goes_on_with_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    store.set_key("provider", Some(&slots(1))).await.unwrap();
    let mut jobs: Vec<NewJob> = ["a", "b", "c"].map(|name| limited(name, &["provider"])).into();
    jobs.push(job("plain"));
    store.enqueue(jobs).await.unwrap();
    let previous = Previous::open(&file(&folder));
    let claimed = previous.claim(2);
    let ids: Vec<&str> = claimed.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids, ["plain", "a"], "it takes plain jobs first, and keeps no limit");
    previous.insert_keyed(1_001, "theirs", Some("provider"));
    let old = JobId::new("theirs").unwrap();
    let mut order = Vec::new();
    for _ in 0..3 {
        let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
        assert_eq!((claimed.len(), key(&store, "provider").await.used), (1, 1));
        order.push(claimed[0].lease.id.to_string());
        store.finish(vec![completed(&claimed[0])]).await.unwrap();
    }
    assert_eq!(order, [old.as_str(), "b", "c"]);
    assert!(claim_ids(&store).await.is_empty());
    assert_eq!(key(&store, "provider").await.used, 0);
}

async fn used_of_queue(store: &SqliteStore) -> Option<u64> {
    store.queues().await.unwrap().into_iter().find(|queue| queue.name == "default").unwrap().used
}

/// Has a process of the release before end a run that this one has claimed. That one knows nothing of slots.
fn end_by_previous(path: &std::path::Path, run: &Claimed) {
    let token = i64::try_from(run.lease.token).unwrap();
    Previous::open(path).complete_run(run.lease.id.as_str(), token);
}

#[tokio::test]
async fn slots_that_the_previous_release_has_left_taken_are_given_back_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let queue_of = |slots| QueueConfig { slots: Some(slots), ..QueueConfig::default() };
    let used = async |store: &SqliteStore| (used_of_queue(store).await, key(store, "provider").await.used);
    let store = SqliteStore::open(&path).await.unwrap();
    store.set_key("provider", Some(&slots(9))).await.unwrap();
    store.set_queue("default", &queue_of(9)).await.unwrap();
    store.enqueue(["a", "b", "c"].map(|name| limited(name, &["provider"])).into()).await.unwrap();
    // Its runs go on when the file is opened anew.
    let runs = store.claim(claim("w", "another", Duration::ZERO)).await.unwrap();
    assert_eq!(used(&store).await, (Some(3), 3));
    // Other limits of the queue count what runs.
    end_by_previous(&path, &runs[0]);
    store.set_queue("default", &queue_of(8)).await.unwrap();
    assert_eq!(used(&store).await, (Some(2), 2));
    store.sweep(10).await.unwrap();
    assert_eq!(used(&store).await, (Some(2), 2), "once");
    // So does whoever opens the file.
    end_by_previous(&path, &runs[1]);
    close(store).await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(used(&store).await, (Some(1), 1));
    store.sweep(10).await.unwrap();
    assert_eq!(used(&store).await, (Some(1), 1), "once");
}

#[tokio::test]
async fn claims_and_looks_at_keys_read_no_more_than_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(file(&folder)).await.unwrap();
    let tables = ["jobs", "g", "o", "key_groups", "limit_keys", "key_configs"];
    let plan = |sql: &'static str| {
        let store = store.clone();
        async move {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let read = move |connection: &Connection| {
                let mut plan = connection.prepare(&explain)?;
                let unbound = vec![None::<i64>; plan.parameter_count()];
                let values = longhaul_sqlite::rusqlite::params_from_iter(unbound);
                let rows = plan.query_map(values, |row| row.get::<_, String>(3))?;
                rows.collect::<Result<Vec<_>, _>>()
            };
            store.read(read).await.unwrap().join("; ")
        }
    };
    for (sql, index) in [
        (include_str!("../../src/sql/claim_candidates.sql"), "jobs_available"),
        (include_str!("../../src/sql/jobs_of_group.sql"), "jobs_of_group"),
        (include_str!("../../src/sql/first_of_group.sql"), "jobs_of_group"),
        (include_str!("../../src/sql/count_group.sql"), "jobs_of_group"),
        (include_str!("../../src/sql/groups_of_lane.sql"), "key_groups_open"),
        (include_str!("../../src/sql/next_version_of_groups.sql"), "key_groups_open"),
        (include_str!("../../src/sql/next_kind_of_groups.sql"), "key_groups_open"),
        (include_str!("../../src/sql/limits_of_queue.sql"), "queues_limited"),
        (include_str!("../../src/sql/hold_for_queue.sql"), "jobs_running"),
        (include_str!("../../src/sql/held_of_queue.sql"), "jobs_running"),
        (include_str!("../../src/sql/next_cost_kept_back.sql"), "key_groups_closed"),
        (include_str!("../../src/sql/first_kept_back.sql"), "key_groups_closed"),
        (include_str!("../../src/sql/first_kept_back_of_next_lane.sql"), "key_groups_closed"),
        (include_str!("../../src/sql/next_key_that_keeps_back.sql"), "key_groups_closed"),
        (include_str!("../../src/sql/groups_kept_back.sql"), "key_groups_by_keys"),
        (include_str!("../../src/sql/find_group.sql"), "key_groups_by_keys"),
        (include_str!("../../src/sql/groups_of_key.sql"), "key_groups_by_keys"),
        (include_str!("../../src/sql/next_waiting_key.sql"), "key_groups_by_keys"),
        (include_str!("../../src/sql/keys_that_open.sql"), "limit_keys_opening"),
        (include_str!("../../src/sql/held_on.sql"), "jobs_held_on"),
        (include_str!("../../src/sql/prefix_at_or_before.sql"), "key_configs_by_prefix"),
        (include_str!("../../src/sql/forget_limit_keys.sql"), "limit_keys_at_rest"),
    ] {
        let plan = plan(sql).await;
        // An index of only what is looked for may be read as a whole.
        let is_scan = |step: &str| {
            let table = step.strip_prefix("SCAN ").and_then(|what| what.split(' ').next());
            let is_whole = ["jobs_held_on", "jobs_running"].iter().any(|index| step.contains(index));
            table.is_some_and(|table| tables.contains(&table)) && !is_whole
        };
        let scans = plan.split("; ").any(is_scan);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE") && !scans, "{index}: {plan}");
    }
}
