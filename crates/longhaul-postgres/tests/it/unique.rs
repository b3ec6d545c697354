//! Unique keys, times and bounds in the tables: as several processes and releases see them, and what they cost.

use std::time::Duration;

use longhaul::{Action, CancelReason, Cost, Finish};
use longhaul::{
    Claim, Clock, EnqueueStatus, Enqueued, JobFilter, JobRecord, KeyConfig, NewJob, OnClash, OnFull, Page,
    Policy, QueueConfig, State, Store, Unique,
};
use longhaul_conformance::jobs::{HOUR, QUEUE, claim, completed, finish, id, job, json, limited, named};
use longhaul_postgres::PostgresStore;

use crate::releases::client;
use crate::server::shared;

async fn two() -> [PostgresStore; 2] {
    let options = shared().options();
    [PostgresStore::open(options.clone()).await.unwrap(), PostgresStore::open(options).await.unwrap()]
}

fn of_key(on_clash: OnClash) -> NewJob {
    NewJob { unique: Some(Unique { on_clash, ..Unique::new("key") }), ..job() }
}

async fn in_states(store: &PostgresStore, states: &[State]) -> Vec<JobRecord> {
    let filter = JobFilter { states: states.to_vec(), ..JobFilter::default() };
    store.list(&filter, Page { limit: 1_000, ..Page::default() }).await.unwrap().jobs
}

fn statuses(answers: &[Enqueued], status: EnqueueStatus) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn of_many_processes_that_supersede_one_another_one_job_is_left() {
    let stores = two().await;
    let calls = (0..40).map(|n| {
        let store = stores[n % 2].clone();
        async move { store.enqueue(vec![of_key(OnClash::Supersede)]).await.unwrap() }
    });
    let created: Vec<Enqueued> = futures::future::join_all(calls).await.concat();
    assert_eq!(statuses(&created, EnqueueStatus::Created), 40);
    assert_eq!(in_states(&stores[0], &[State::Available]).await.len(), 1);
    let cancelled = in_states(&stores[0], &[State::Cancelled]).await;
    assert!(
        cancelled.len() == 39
            && cancelled.iter().all(|job| job.cancel_reason == Some(CancelReason::Superseded))
    );
}

#[tokio::test]
async fn a_follower_that_is_cancelled_while_its_predecessor_ends_leaves_the_key_free() {
    let [one, other] = two().await;
    for _ in 0..40 {
        let first = one.enqueue(vec![of_key(OnClash::Follow)]).await.unwrap().remove(0);
        assert_eq!(first.status, EnqueueStatus::Created, "nobody holds the key");
        let running = one.claim(claim()).await.unwrap().remove(0);
        let follower = one.enqueue(vec![of_key(OnClash::Follow)]).await.unwrap().remove(0);
        assert_eq!(follower.status, EnqueueStatus::Created);
        let cancelled = JobFilter { ids: vec![follower.id.clone()], ..JobFilter::default() };
        let (ended, cancelled) = tokio::join!(
            one.finish(vec![finish(&running.lease, completed())]),
            other.act(&cancelled, Action::cancel(Duration::ZERO), 1)
        );
        ended.unwrap();
        assert_eq!(cancelled.unwrap().done, 1);
        assert_eq!(in_states(&one, &[State::Available, State::Blocked, State::Running]).await.len(), 0);
    }
}

#[tokio::test]
async fn a_job_that_was_given_its_key_back_as_it_ended_holds_it_as_long_as_it_would_have() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let client = client(&options).await;
    let of_period = |period| NewJob {
        unique: Some(Unique { period, on_clash: OnClash::Follow, ..Unique::new("key") }),
        ..job()
    };
    for (period, status) in [(None, EnqueueStatus::Created), (Some(HOUR), EnqueueStatus::Duplicate)] {
        let first = store.enqueue(vec![of_period(period)]).await.unwrap().remove(0);
        let running = store.claim(claim()).await.unwrap().remove(0);
        store.enqueue(vec![of_period(period)]).await.unwrap();
        store.finish(vec![finish(&running.lease, completed())]).await.unwrap();
        let next = store.claim(claim()).await.unwrap().remove(0);
        store.finish(vec![finish(&next.lease, completed())]).await.unwrap();
        // What a follower would have noted that did not see the end of the first.
        client.batch_execute("DELETE FROM unique_keys").await.unwrap();
        let sql = "INSERT INTO unique_keys (key, job) SELECT unique_key, seq FROM jobs WHERE id = $1";
        assert_eq!(client.execute(sql, &[&first.id.as_str()]).await.unwrap(), 1);
        let late = store.enqueue(vec![of_key(OnClash::Join)]).await.unwrap().remove(0);
        assert_eq!((late.status, late.id == first.id), (status, status == EnqueueStatus::Duplicate));
        for job in store.claim(claim()).await.unwrap() {
            store.finish(vec![finish(&job.lease, completed())]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_replaced_while_workers_of_another_process_claim_runs_once_with_the_last_args_that_were_taken()
 {
    let [one, other] = two().await;
    let (mut replaced, mut runs) = (0, 0);
    for n in 0..60 {
        let args = json(&format!("{{\"n\":{n}}}"));
        let (answer, claimed) = tokio::join!(
            one.enqueue(vec![NewJob { args: args.clone(), ..of_key(OnClash::Replace) }]),
            other.claim(claim())
        );
        let answer = answer.unwrap().remove(0);
        let claimed = claimed.unwrap();
        replaced += usize::from(answer.status == EnqueueStatus::Replaced);
        runs += claimed.len();
        let record = one.get(std::slice::from_ref(&answer.id)).await.unwrap().remove(0).found().unwrap();
        match answer.status {
            EnqueueStatus::Duplicate => assert_eq!(record.state, State::Running, "it came too late"),
            _ => assert_eq!(record.args, args),
        }
        for job in &claimed {
            let now = one.get(std::slice::from_ref(&job.lease.id)).await.unwrap().remove(0).found().unwrap();
            assert_eq!(now.args, job.args, "nothing changes what runs");
        }
        let ends = claimed.iter().map(|job| finish(&job.lease, completed()));
        other.finish(ends.collect()).await.unwrap();
    }
    let left = in_states(&one, &[State::Available]).await.len();
    assert_eq!(in_states(&one, &[State::Completed]).await.len(), runs);
    assert!(left <= 1 && runs + left + replaced <= 60);
}

#[tokio::test]
async fn a_bound_is_exact_however_many_processes_enqueue() {
    let stores = two().await;
    let config = QueueConfig { max_waiting: Some(20), ..QueueConfig::default() };
    stores[0].set_queue(QUEUE, &config).await.unwrap();
    let calls = (0..30).map(|n| {
        let store = stores[n % 2].clone();
        async move { store.enqueue(vec![job(), job()]).await.unwrap() }
    });
    let answers: Vec<Enqueued> = futures::future::join_all(calls).await.concat();
    assert_eq!(
        (statuses(&answers, EnqueueStatus::Created), statuses(&answers, EnqueueStatus::Full)),
        (20, 40)
    );
    assert_eq!(in_states(&stores[0], &[State::Available]).await.len(), 20);
    // A release that knows no bounds writes the configuration without one.
    let client = client(stores[0].options()).await;
    client.batch_execute("UPDATE queues SET config = '{}'").await.unwrap();
    assert_eq!(statuses(&stores[1].enqueue(vec![job()]).await.unwrap(), EnqueueStatus::Created), 1);
}

#[tokio::test]
async fn the_oldest_jobs_of_a_key_are_dropped_whether_they_wait_for_a_time_or_a_worker() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let config = KeyConfig { max_waiting: Some(4), on_full: OnFull::DropOldest, ..KeyConfig::default() };
    store.set_key("tenant:*", Some(&config)).await.unwrap();
    let later =
        |name: &str, keys: &[&str]| NewJob { start: longhaul::Start::After(HOUR), ..limited(name, keys) };
    let jobs = vec![
        later("a", &["tenant:1"]),
        limited("b", &["tenant:1"]),
        later("c", &["other", "tenant:1"]),
        limited("other", &["tenant:2"]),
        limited("d", &["another", "tenant:1"]),
    ];
    assert_eq!(statuses(&store.enqueue(jobs).await.unwrap(), EnqueueStatus::Created), 5);
    let names = |jobs: Vec<JobRecord>| {
        let mut names: Vec<String> = jobs.into_iter().map(|job| job.id.to_string()).collect();
        names.sort_unstable();
        names
    };
    store.enqueue(vec![limited("e", &["tenant:1"])]).await.unwrap();
    assert_eq!(names(in_states(&store, &[State::Cancelled]).await), ["a"]);
    store.enqueue((0..4).map(|n| limited(&format!("f{n}"), &["tenant:1"])).collect()).await.unwrap();
    let dropped = in_states(&store, &[State::Cancelled]).await;
    assert!(dropped.iter().all(|job| job.cancel_reason == Some(CancelReason::Dropped)));
    assert_eq!(names(dropped), ["a", "b", "c", "d", "e"]);
    assert_eq!(names(in_states(&store, &[State::Available]).await), ["f0", "f1", "f2", "f3", "other"]);
}

#[tokio::test]
async fn a_call_of_more_jobs_than_a_bounded_queue_holds_keeps_the_newest() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let config = QueueConfig { max_waiting: Some(10), on_full: OnFull::DropOldest, ..QueueConfig::default() };
    store.set_queue(QUEUE, &config).await.unwrap();
    store.enqueue((0..25).map(|n| named(&format!("job-{n:02}"))).collect()).await.unwrap();
    let kept: Vec<String> = in_states(&store, &[State::Available])
        .await
        .into_iter()
        .rev()
        .map(|job| job.id.to_string())
        .collect();
    let newest: Vec<String> = (15..25).map(|n| format!("job-{n}")).collect();
    assert_eq!(kept, newest);
    assert_eq!(in_states(&store, &[State::Cancelled]).await.len(), 15);
}

#[tokio::test]
async fn what_a_run_took_in_truth_is_counted_while_another_process_looks_after_limits() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let rate = longhaul::Rate { n: 1, per: Duration::from_secs(1), burst: Some(10) };
    store.set_key("tokens", Some(&KeyConfig { rate: Some(rate), ..KeyConfig::default() })).await.unwrap();
    let cost = Cost { slots: 2, rate: 5 };
    let costly = |name| NewJob { policy: Policy { cost, ..Policy::default() }, ..limited(name, &["tokens"]) };
    store.enqueue(vec![costly("a"), costly("b"), costly("c")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    assert_eq!(claimed.len(), 2, "ten units at once");
    let other = client(&options).await;
    let lock = format!("hashtextextended('{}:limits', 0)", options.schema);
    other.batch_execute(&format!("SELECT pg_advisory_lock({lock})")).await.unwrap();
    let ends = claimed.iter().map(|job| Finish { cost: Some(2), ..finish(&job.lease, completed()) });
    store.finish(ends.collect()).await.unwrap();
    other.batch_execute(&format!("SELECT pg_advisory_unlock({lock})")).await.unwrap();
    // Six units are free again, of which it takes five.
    let waiting = Claim { wait: HOUR, ..claim() };
    let next = tokio::time::timeout(HOUR, store.claim(waiting)).await.expect("nobody looks again").unwrap();
    assert_eq!(next[0].lease.id, id("c"));
    let taken =
        other.query_one("SELECT rate_free_at FROM limit_keys WHERE key = 'tokens'", &[]).await.unwrap();
    assert_eq!(taken.get::<_, i64>(0) / 1_000 - clock.now().0, 9_000);
}

#[tokio::test]
async fn bounds_cost_other_queues_no_statement() {
    let server = crate::server::Server::start(&["fsync=off", "shared_preload_libraries=pg_stat_statements"]);
    let options = server.options();
    // The server's clock is read again every few seconds, which would be counted.
    let store = PostgresStore::open_with_clock(options.clone(), Clock::manual()).await.unwrap();
    let client = client(&options).await;
    client
        .batch_execute("CREATE EXTENSION pg_stat_statements SCHEMA public; SET search_path = public")
        .await
        .unwrap();
    let config = QueueConfig { max_waiting: Some(10), ..QueueConfig::default() };
    store.set_queue("bounded", &config).await.unwrap();
    client.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
    for n in 0..20 {
        store.enqueue(vec![NewJob { queue: format!("free-{n}").into(), ..job() }]).await.unwrap();
    }
    let asked =
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query LIKE '%max_waiting%'";
    let calls: i64 = client.query_one(asked, &[]).await.unwrap().get(0);
    let all = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query NOT LIKE '%pg_%'";
    let all: i64 = client.query_one(all, &[]).await.unwrap().get(0);
    assert_eq!(calls, 20, "one statement for each call");
    assert!(all <= 22, "{all} statements");
}
