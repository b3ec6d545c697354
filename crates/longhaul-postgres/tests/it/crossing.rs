//! Two stores on one schema, as two processes have them.

use std::time::Duration;

use longhaul::{Claim, Clock, EventBody, JobFilter, LeaseStatus, NewJob, Page, QueueConfig, State, Store};
use longhaul_conformance::jobs::{claim, completed, delayed, finish, id, kind, named, slots, unique};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

async fn two() -> [PostgresStore; 2] {
    two_with(shared().options()).await
}

async fn two_with(options: PostgresOptions) -> [PostgresStore; 2] {
    [PostgresStore::open(options.clone()).await.unwrap(), PostgresStore::open(options).await.unwrap()]
}

/// On the same connection, and so after whatever was asked before.
async fn settle(store: &PostgresStore) {
    store.set_queue("images", &QueueConfig::default()).await.unwrap();
}

#[tokio::test]
async fn a_waiting_claim_hears_of_a_job_that_another_process_enqueued() {
    // It does not look by itself within this test.
    let [one, other] = two_with(PostgresOptions { look_every: 10 * LONG, ..shared().options() }).await;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let one_slot = Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() };
        let mut waiting = Box::pin(one.claim(one_slot));
        assert!(futures::poll!(&mut waiting).is_pending());
        settle(&one).await;
        other.enqueue(vec![named(name)]).await.unwrap();
        let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("nobody told it").unwrap();
        assert_eq!(claimed[0].lease.id, id(name));
    }
}

#[tokio::test]
async fn claims_of_one_process_that_wait_for_the_same_jobs_are_all_served() {
    // It does not look by itself within this test.
    let [one, other] = two_with(PostgresOptions { look_every: 10 * LONG, ..shared().options() }).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let one_slot = Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() };
        let mut claimed = Box::pin(one.claim(one_slot));
        assert!(futures::poll!(&mut claimed).is_pending());
        settle(&one).await;
        waiting.push(claimed);
    }
    other.enqueue(["a", "b", "c", "d"].map(named).into()).await.unwrap();
    for claimed in waiting {
        let claimed = tokio::time::timeout(LONG / 5, claimed).await.expect("nobody told it").unwrap();
        assert_eq!(claimed.len(), 1);
    }
}

#[tokio::test]
async fn a_waiting_claim_answers_when_a_job_of_another_process_falls_due_by_the_servers_clock() {
    let [one, other] = two().await;
    let waiting = one.claim(Claim { wait: LONG, ..claim() });
    other.enqueue(vec![delayed(Duration::from_millis(30))]).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_reader_hears_of_a_change_that_another_process_made() {
    let [one, other] = two().await;
    one.enqueue(vec![named("a")]).await.unwrap();
    let reader = one.clone();
    let mut waiting = Box::pin(async move { reader.events(&id("a"), 1, 10, LONG).await });
    assert!(futures::poll!(&mut waiting).is_pending());
    other.claim(claim()).await.unwrap();
    let events = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().unwrap();
    let running = |body: &EventBody| matches!(body, EventBody::State { state: State::Running, .. });
    assert!(events.iter().any(|event| running(&event.body)), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_run_each_job_once_and_count_it_once() {
    let stores: Vec<PostgresStore> = two().await.into();
    const JOBS: usize = 600;
    let enqueuers = (0..JOBS).map(|n| {
        let store = stores[n % 2].clone();
        // Every tenth is enqueued by both, by its id or by its key.
        let job = if n % 5 == 0 {
            unique(&format!("key-{}", n / 10), None)
        } else {
            named(&format!("job-{}", n / 2))
        };
        async move { store.enqueue(vec![job]).await.unwrap() }
    });
    let enqueued = futures::future::join_all(enqueuers).await;
    let created = enqueued.iter().flatten().filter(|enqueued| !enqueued.is_duplicate()).count();
    let workers = stores.iter().cycle().take(4).cloned().map(|store| {
        tokio::spawn(async move {
            let (mut done, mut finishes) = (0, Vec::new());
            loop {
                let some = Claim { queues: vec![slots("images", 7)], ..claim() };
                let turn = store.finish_and_claim(finishes, some).await.unwrap();
                done += turn.finished.iter().filter(|status| **status == LeaseStatus::Held).count();
                if turn.claimed.is_empty() {
                    return done;
                }
                finishes = turn.claimed.iter().map(|job| finish(&job.lease, completed())).collect();
            }
        })
    });
    let done: usize = futures::future::join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(done, created, "each job that was created has run once");
    for store in &stores {
        store.sweep(10).await.unwrap();
        let counts = store.queues().await.unwrap().remove(0).counts;
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(State::Completed, created as u64)]);
    }
    let page = Page { cursor: None, limit: 1_000, ..Page::default() };
    assert_eq!(stores[0].list(&JobFilter::default(), page).await.unwrap().jobs.len(), created);
}

#[tokio::test]
async fn a_lease_of_one_process_is_rescued_by_another() {
    let (options, clock) = (shared().options(), Clock::manual());
    let one = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let other = PostgresStore::open_with_clock(options, clock.clone()).await.unwrap();
    one.enqueue(vec![NewJob { max_crashes: 3, ..named("a") }]).await.unwrap();
    let lease = one.claim(claim()).await.unwrap().remove(0).lease;
    drop(one);
    clock.advance(LONG);
    assert_eq!(other.sweep(10).await.unwrap().rescued, 1);
    let again = other.claim(claim()).await.unwrap().remove(0).lease;
    assert!(again.token > lease.token);
    assert_eq!(other.finish(vec![finish(&lease, completed())]).await.unwrap(), [LeaseStatus::Lost]);
}

/// The jobs of a claim whose caller has gone away go to the next one in line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_taken_back_goes_to_the_next_who_waits() {
    let clock = Clock::manual();
    let store = PostgresStore::open_with_clock(shared().options(), clock).await.unwrap();
    let one_slot = || Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() };
    for round in 0..100 {
        let mut given_up = Box::pin(store.claim(one_slot()));
        let mut next = Box::pin(store.claim(one_slot()));
        assert!(futures::poll!(&mut given_up).is_pending() && futures::poll!(&mut next).is_pending());
        settle(&store).await;
        let name = format!("job-{round}");
        let enqueue = tokio::spawn({
            let (store, job) = (store.clone(), named(&name));
            async move { store.enqueue(vec![job]).await }
        });
        // At whatever point of its way the answer then is: each round gives it a few more turns.
        for _ in 0..20 * round {
            tokio::task::yield_now().await;
        }
        drop(given_up);
        let claimed = tokio::time::timeout(LONG / 5, next).await.unwrap().unwrap();
        assert_eq!((&claimed[0].lease.id, claimed[0].attempt), (&id(&name), 1));
        store.finish(vec![finish(&claimed[0].lease, completed())]).await.unwrap();
        assert!(enqueue.await.unwrap().is_ok());
    }
}

/// Children of the same batches end in both processes at once, and in no common order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_many_processes_work_on_close_once_each() {
    const BATCHES: usize = 12;
    const CHILDREN: usize = 15;
    let stores = two().await;
    for batch in 0..BATCHES {
        let children = (0..CHILDREN).map(|child| named(&format!("child-{batch}-{child}"))).collect();
        let closing = NewJob { kind: "close".into(), ..named(&format!("closing-{batch}")) };
        stores[batch % 2].enqueue(NewJob::batch(closing, children)).await.unwrap();
    }
    let workers = stores.iter().cycle().take(6).cloned().enumerate().map(|(worker, store)| {
        tokio::spawn(async move {
            let (mut closed, mut finishes) = (Vec::new(), Vec::new());
            let kinds = vec![kind("resize", 1), kind("close", 1)];
            let some = Claim { queues: vec![slots("images", 5 + worker)], kinds, ..claim() };
            // Whoever finds nothing waits for what the others may set free, but not for what nobody will.
            while store.queues().await.unwrap()[0].counts.keys().any(|state| !state.is_finished()) {
                let turn = store.finish_and_claim(std::mem::take(&mut finishes), some.clone()).await.unwrap();
                closed.extend(
                    turn.claimed.iter().filter(|job| job.kind == "close").map(|job| job.lease.id.clone()),
                );
                finishes = turn.claimed.iter().map(|job| finish(&job.lease, completed())).collect();
                // In another order than that in which they were claimed.
                let first = worker.min(finishes.len());
                finishes.rotate_left(first);
            }
            closed
        })
    });
    let ended = tokio::time::timeout(LONG / 5, futures::future::join_all(workers)).await.unwrap();
    let mut closed: Vec<_> = ended.into_iter().flat_map(Result::unwrap).collect();
    closed.sort();
    closed.dedup();
    assert_eq!(closed.len(), BATCHES);
    for id in closed {
        let closing = stores[0].get(&[id]).await.unwrap().remove(0).found().unwrap();
        assert_eq!((closing.state, closing.attempt), (State::Completed, 1));
        let children = closing.children.unwrap();
        assert_eq!((children.total, children.completed), (CHILDREN as u64, CHILDREN as u64));
    }
}

/// The same ids and keys in opposite orders, where each process holds what the other wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_cross_are_all_answered() {
    let stores = two().await;
    for round in 0..20 {
        let mut jobs: Vec<NewJob> = (0..40).map(|n| named(&format!("job-{round}-{n}"))).collect();
        jobs.extend((0..10).map(|n| unique(&format!("key-{round}-{n}"), None)));
        let forth = jobs.clone();
        let back: Vec<NewJob> = jobs.into_iter().rev().collect();
        let (one, other) = tokio::join!(stores[0].enqueue(forth), stores[1].enqueue(back));
        let (one, other) = (one.unwrap(), other.unwrap());
        for (one, other) in one.iter().zip(other.iter().rev()) {
            assert_eq!(one.id, other.id);
            assert!(one.is_duplicate() != other.is_duplicate(), "one of them has created {}", one.id);
        }
    }
}
