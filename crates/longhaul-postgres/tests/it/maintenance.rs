//! Sweeps of many queues, and waiting claims after the connection that listens was lost.

use std::time::Duration;

use longhaul::{Claim, Clock, Keep, NewJob, QueueConfig, Retention, State, Store, Swept};
use longhaul_conformance::jobs::{HOUR, claim, completed, finish, id, named, slots};
use longhaul_postgres::tokio_postgres::SimpleQueryMessage;
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::{Server, shared};

const LONG: Duration = Duration::from_secs(300);

/// Queues with one completed job each, which ended just now.
async fn idle_queues(options: &PostgresOptions, queues: u32, now: i64) {
    let insert = format!(
        "INSERT INTO jobs (seq, version, priority, rank, run_at, max_attempts, max_crashes, state_at, created_at, id, kind,
                           queue, state, args, finished_at, kept_from)
         SELECT nextval('numbers'), 1, 0, 0, 0, 3, 5, {now}, {now}, 'j' || g, 'resize', 'q' || g, 'completed', '{{}}',
                {now}, {now} FROM generate_series(1, {queues}) g;
         INSERT INTO counts SELECT 'q' || g, 'completed', 1 FROM generate_series(1, {queues}) g;
         ANALYZE jobs; ANALYZE counts;"
    );
    client(options).await.batch_execute(&insert).await.unwrap();
}

#[tokio::test]
async fn a_sweep_of_thousands_of_idle_queues_reads_a_handful_of_pages() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    idle_queues(&options, 3_000, clock.now().0).await;
    // Each history is looked at once; then it is known when the next one is due.
    for _ in 0..20 {
        assert_eq!(store.sweep(1_000).await.unwrap(), Swept::default());
    }
    let client = client(&options).await;
    let due = "SELECT count(*) FROM counts WHERE prune_at <= $1";
    assert_eq!(client.query_one(due, &[&clock.now().0]).await.unwrap().get::<_, i64>(0), 0);
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await.unwrap();
    let probe =
        format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", include_str!("../../src/sql/sweep_probe.sql"))
            .replace("$1::bigint", &clock.now().0.to_string());
    let read = async || {
        let plan = client.simple_query(&probe).await.unwrap();
        let row = plan.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: serde_json::Value = serde_json::from_str(row.unwrap()).unwrap();
        let blocks = |name: &str| plan[0]["Plan"][name].as_u64().unwrap();
        (blocks("Shared Hit Blocks") + blocks("Shared Read Blocks"), plan)
    };
    // Entries of rows that the sweeps have changed are read, too, as long as a transaction of another test that shares
    // the server might yet see them.
    let mut last = read().await;
    let handful = async {
        while last.0 >= 50 {
            last = read().await;
        }
    };
    let is_handful = tokio::time::timeout(LONG / 5, handful).await.is_ok();
    assert!(is_handful, "{} pages: {}", last.0, last.1);

    // A day later all are due, and pruned within as many sweeps as the limit asks for.
    clock.advance(25 * HOUR);
    let mut pruned = 0;
    for _ in 0..40 {
        pruned += store.sweep(1_000).await.unwrap().pruned;
    }
    assert_eq!(pruned, 3_000);
}

#[tokio::test]
async fn a_new_configuration_and_new_ends_are_looked_at_by_the_next_sweep() {
    let clock = Clock::manual();
    let store = PostgresStore::open_with_clock(shared().options(), clock.clone()).await.unwrap();
    let complete = async |name: &str| {
        store.enqueue(vec![named(name)]).await.unwrap();
        let lease = store.claim(claim()).await.unwrap().remove(0).lease;
        store.finish(vec![finish(&lease, completed())]).await.unwrap();
    };
    for name in ["a", "b", "c"] {
        complete(name).await;
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(store.sweep(10).await.unwrap().pruned, 0);
    let keep = |count| QueueConfig {
        retention: Retention { completed: Keep { age: None, count: Some(count) }, ..Retention::default() },
        ..QueueConfig::default()
    };
    store.set_queue("images", &keep(2)).await.unwrap();
    assert_eq!(store.sweep(10).await.unwrap().pruned, 1, "the oldest");
    assert_eq!(store.sweep(10).await.unwrap().pruned, 0);
    complete("d").await;
    assert_eq!(store.sweep(10).await.unwrap().pruned, 1);
    assert!(store.get(&[id("c")]).await.unwrap().remove(0).found().is_some());
    // By age, after it had been known that nothing is due for a day.
    store.set_queue("images", &QueueConfig::default()).await.unwrap();
    store.sweep(10).await.unwrap();
    clock.advance(25 * HOUR);
    assert_eq!(store.sweep(10).await.unwrap().pruned, 2);
    let counts = &store.queues().await.unwrap()[0].counts;
    assert_eq!(counts.get(&State::Completed), None);
}

/// The LISTEN session alone is ended: claims hear of jobs again within a moment, and not by polling.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_hear_of_jobs_again_after_the_session_that_listens_was_killed() {
    let options = PostgresOptions { look_every: 10 * LONG, ..shared().options() };
    let mut named_options = options.clone();
    let name = format!("listens-{}", options.schema);
    named_options.config.application_name(&name);
    let store = PostgresStore::open(named_options).await.unwrap();
    let other = PostgresStore::open(options.clone()).await.unwrap();
    let client = client(&options).await;
    let listening = "SELECT pid FROM pg_stat_activity
                     WHERE application_name = $1 AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT pg_notify%')";
    for round in 0..2 {
        let rows = client.query(listening, &[&name]).await.unwrap();
        if let [session] = rows.as_slice() {
            client.execute("SELECT pg_terminate_backend($1)", &[&session.get::<_, i32>(0)]).await.unwrap();
        }
        let waiting = store.claim(Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() });
        let enqueued = async {
            // Once it listens again it looks everywhere; whatever comes later is told.
            other.enqueue(vec![named(&format!("job-{round}"))]).await.unwrap();
        };
        let (claimed, ()) = tokio::join!(tokio::time::timeout(LONG / 5, waiting), enqueued);
        let claimed = claimed.expect("nobody told it").unwrap();
        assert_eq!(claimed.len(), 1);
    }
    let waiting = store.claim(Claim { wait: LONG, ..claim() });
    let elsewhere = NewJob { queue: "elsewhere".into(), ..named("elsewhere") };
    let enqueued = other.enqueue(vec![elsewhere, named("last")]);
    let (claimed, _) = tokio::join!(tokio::time::timeout(LONG / 5, waiting), enqueued);
    assert_eq!(claimed.expect("nobody told it").unwrap()[0].lease.id, id("last"));
}

#[tokio::test]
async fn tables_that_folds_take_rows_out_of_are_vacuumed_before_autovacuum_comes() {
    let server = Server::start(&["fsync=off", "autovacuum=off"]);
    let options = server.options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let client = client(&options).await;
    let job = |number| NewJob { limit_keys: vec!["tenant".to_owned()], ..named(&format!("job-{number}")) };
    for thousand in 0..20 {
        store.enqueue((0..1_000).map(|number| job(thousand * 1_000 + number)).collect()).await.unwrap();
    }
    let pages = include_str!("../../src/sql/pages_of_arrivals.sql");
    let shortened = async {
        // Each sweep folds 2,000 in. One that follows the last begins a vacuum, which nobody waits for.
        while client.query_one(pages, &[]).await.unwrap().get::<_, i64>(0) > 128 {
            store.sweep(1_000).await.unwrap();
        }
    };
    assert!(client.query_one(pages, &[]).await.unwrap().get::<_, i64>(0) > 200);
    tokio::time::timeout(LONG, shortened).await.expect("a vacuum of arrivals");
    assert!(!store.claim(claim()).await.unwrap().is_empty());
}
