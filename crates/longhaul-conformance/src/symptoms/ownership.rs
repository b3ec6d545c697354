//! Symptoms of who holds a job: rescued, taken over, put back, handed on.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{
    Action, AttemptError, Claim, ErrorKind, Keep, Lease, LeaseStatus, Lookup, NewJob, Outcome, QueueConfig,
    Retention, State, Swept, Timestamp, WorkerInfo,
};

use crate::Fixture;
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, delayed, failed, finish, id, job, kind, named, retry, secs, slots,
    worker,
};
use crate::races::meet;

/// A worker finishes at the end of its lease while two sweepers look for late ones.
pub async fn a1_a_job_that_has_just_completed_is_not_put_back_by_a_rescue(fx: &Fixture) {
    for _ in 0..8 {
        let leases = Arc::new(fx.claim_many(20).await);
        fx.clock.advance(LEASE + secs(1));
        let met = meet(fx, 6, |fx, number| {
            let leases = Arc::clone(&leases);
            Box::pin(async move {
                let (mut rescued, mut ended) = (0, Vec::new());
                for place in (number..leases.len()).step_by(4) {
                    match number {
                        4 | 5 => rescued += fx.sweep_some(3).await.rescued,
                        _ => {
                            ended.push((leases[place].clone(), fx.finish(&leases[place], completed()).await))
                        }
                    }
                }
                (rescued, ended)
            })
        })
        .await;
        let rescued = fx.sweep().await.rescued + met.iter().map(|(rescued, _)| rescued).sum::<u64>();
        let ended: Vec<_> = met.into_iter().flat_map(|(_, ended)| ended).collect();
        let is_lost = |(_, status): &&(Lease, LeaseStatus)| *status == LeaseStatus::Lost;
        assert_eq!(ended.len(), leases.len());
        assert_eq!(ended.iter().filter(is_lost).count() as u64, rescued, "either it ends or it is rescued");
        for (lease, status) in &ended {
            let record = fx.job(&lease.id).await;
            let seen = (record.state, record.crashes, record.output.is_some());
            match status {
                LeaseStatus::Lost => assert_eq!(seen, (State::Available, 1, false)),
                _ => assert_eq!(seen, (State::Completed, 0, true)),
            }
        }
        let again = fx.claim(claim()).await;
        assert_eq!(again.len() as u64, rescued, "an ended job is not run again");
        fx.finish_all(again.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    }
}

/// The store has forgotten the worker a minute after its last sign, and the lease is longer than that.
pub async fn a2_a_dead_worker_that_is_not_listed_any_more_gives_its_jobs_back(fx: &Fixture) {
    fx.enqueue(named("a")).await;
    let long = Claim { lease_for: secs(300), worker: worker("dead"), ..claim() };
    assert_eq!(fx.claim(long).await.len(), 1);
    fx.heartbeat_all(&worker("dead"), &[], LEASE).await;
    fx.clock.advance(secs(299));
    assert_eq!(fx.sweep().await, Swept::default(), "its lease still runs");
    assert!(fx.workers().await.is_empty());
    assert_eq!(fx.state(&id("a")).await, State::Running);
    fx.clock.advance(secs(2));
    assert_eq!(fx.sweep().await.rescued, 1);
    let again = fx.claim_one().await;
    assert_eq!((again.lease.id, again.attempt), (id("a"), 1));
}

/// A container is restarted under its old names.
pub async fn a2_a_new_process_under_a_dead_ones_name_neither_keeps_nor_loses_its_jobs(fx: &Fixture) {
    let dead = fx.running_from(named("a")).await.lease;
    let successor = WorkerInfo { process: "p2".into(), ..worker("w1") };
    for _ in 0..3 {
        fx.clock.advance(LEASE / 4);
        fx.heartbeat_all(&successor, &[], LEASE).await;
        assert_eq!(fx.sweep().await, Swept::default());
        assert!(fx.claim(Claim { worker: successor.clone(), ..claim() }).await.is_empty());
    }
    fx.clock.advance(LEASE / 4 + secs(1));
    fx.heartbeat_all(&successor, &[], LEASE).await;
    assert_eq!(fx.sweep().await.rescued, 1, "what a name says keeps no lease alive");
    let again = fx.claim(Claim { worker: successor, ..claim() }).await.remove(0).lease;
    assert_eq!(again.id, id("a"));
    assert_eq!(fx.finish(&dead, completed()).await, LeaseStatus::Lost);
    fx.end(&again, completed()).await;
}

/// The only worker that is left cannot run the kind, and sweeps.
pub async fn a3_a_rescue_by_a_worker_that_does_not_know_the_kind_costs_the_job_nothing(fx: &Fixture) {
    let other = NewJob { kind: "mail".into(), max_attempts: 1, ..named("b") };
    fx.enqueue(other).await;
    let knows = Claim { kinds: vec![kind("mail", 1)], worker: worker("knows"), ..claim() };
    assert_eq!(fx.claim(knows.clone()).await.len(), 1);
    for _ in 0..6 {
        fx.crash_workers().await;
        assert!(fx.claim_ids().await.is_empty(), "it is left for whoever knows it");
    }
    let record = fx.job(&id("b")).await;
    assert_eq!((record.state, record.attempt, record.crashes), (State::Available, 0, 1));
    let again = fx.claim(knows).await.remove(0);
    assert_eq!((again.lease.id.clone(), again.attempt), (id("b"), 1));
    fx.end(&again.lease, completed()).await;
}

/// Whoever took delayed jobs early would lose them with its lease.
pub async fn a18_jobs_delayed_beyond_the_lease_are_held_by_nobody_and_run_once(fx: &Fixture) {
    let lease_for = secs(5);
    let of = |number| Claim {
        worker: worker(&format!("w{number}")),
        queues: vec![slots(QUEUE, 10)],
        lease_for,
        ..claim()
    };
    fx.enqueue_all((0..40).map(|_| delayed(secs(12))).collect()).await;
    for _ in 0..12 {
        for number in 0..4 {
            assert!(fx.claim(of(number)).await.is_empty(), "nothing is due");
        }
        assert_eq!(fx.sweep().await, Swept::default());
        fx.clock.advance(secs(1));
    }
    let mut leases = Vec::new();
    for number in 0..4 {
        let claimed = fx.claim(of(number)).await;
        assert_eq!(claimed.len(), 10);
        assert!(claimed.iter().all(|claimed| claimed.attempt == 1));
        leases.push(claimed.into_iter().map(|claimed| claimed.lease).collect::<Vec<_>>());
    }
    let stopped = leases.remove(0);
    for lease in leases.iter().flatten() {
        fx.end(lease, completed()).await;
    }
    fx.clock.advance(secs(6));
    assert_eq!(fx.sweep().await.rescued, 10);
    let again = fx.claim(of(1)).await;
    assert_eq!(again.len(), 10);
    for lease in &stopped {
        assert_eq!(fx.finish(lease, completed()).await, LeaseStatus::Lost);
    }
    for claimed in &again {
        fx.end(&claimed.lease, completed()).await;
    }
    assert_eq!(fx.counts(QUEUE).await, [(State::Completed, 40)].into());
}

/// One slot, and whatever may happen to the job that goes first.
pub async fn a28_a_job_keeps_its_priority_through_retry_rescue_snooze_and_release(fx: &Fixture) {
    let waiting: Vec<_> = fx.enqueue_all((0..30).map(|_| job()).collect()).await;
    let first = NewJob { priority: 50, max_attempts: 10, ..named("first") };
    fx.enqueue(first).await;
    let waits = Duration::from_millis(1);
    for outcome in [
        Some(retry(Duration::ZERO)),
        Some(retry(waits)),
        Some(Outcome::Snoozed { delay: waits }),
        Some(Outcome::RateLimited { delay: waits }),
        Some(Outcome::Released),
        Some(failed()),
        None,
    ] {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.lease.id, id("first"), "before {outcome:?}");
        match &outcome {
            Some(outcome) => fx.end(&claimed.lease, outcome.clone()).await,
            None => assert_eq!(fx.crash_workers().await.rescued, 1),
        }
        fx.clock.advance(waits);
        fx.act(&id("first"), Action::Retry).await;
        assert_eq!(fx.job(&id("first")).await.priority, 50, "after {outcome:?}");
    }
    fx.end(&fx.claim_one().await.lease, completed()).await;
    let order: Vec<_> = waiting.into_iter().map(|enqueued| enqueued.id).collect();
    assert_eq!(fx.claim_ids().await, order, "and the others their order");
}

/// Completed jobs are not kept, and the lease ends while they complete: what a rescue puts back is whole.
pub async fn a29_a_job_that_is_removed_with_its_end_is_never_run_without_its_args(fx: &Fixture) {
    for keep in [Keep { age: Some(Duration::ZERO), count: None }, Keep { age: None, count: Some(0) }] {
        let retention = Retention { completed: keep, ..Retention::default() };
        fx.set_queue(QUEUE, &QueueConfig { retention, ..QueueConfig::default() }).await;
        for _ in 0..4 {
            let leases = Arc::new(fx.claim_many(12).await);
            fx.clock.advance(LEASE + secs(1));
            meet(fx, 6, |fx, number| {
                let leases = Arc::clone(&leases);
                Box::pin(async move {
                    for place in (number % 3..leases.len()).step_by(3) {
                        if number < 3 {
                            fx.sweep_some(4).await;
                            run_all(&fx).await;
                        } else {
                            fx.finish(&leases[place], completed()).await;
                        }
                    }
                })
            })
            .await;
            fx.sweep().await;
            run_all(fx).await;
            fx.clock.advance(secs(1));
            fx.sweep().await;
            let ids: Vec<_> = leases.iter().map(|lease| lease.id.clone()).collect();
            assert!(fx.lookup_all(&ids).await.iter().all(|lookup| *lookup == Lookup::Gone));
            assert!(fx.claim_ids().await.is_empty());
        }
        assert!(fx.counts(QUEUE).await.values().all(|count| *count == 0));
    }
}

/// Runs what is available, which must be whole.
async fn run_all(fx: &Fixture) {
    for claimed in fx.claim(claim()).await {
        assert_eq!((claimed.args, claimed.kind.as_str(), claimed.attempt), (job().args, "resize", 1));
        fx.end(&claimed.lease, completed()).await;
    }
}

/// A worker sends moments of its own clock, which is years off.
pub async fn a35_a_worker_whose_clock_is_wrong_runs_nothing_early_and_keeps_its_lease(fx: &Fixture) {
    for seen_at in [Timestamp(0), Timestamp::MAX] {
        let wrong = WorkerInfo { seen_at, ..worker("wrong") };
        let later = fx.enqueue(delayed(secs(10))).await;
        let now = fx.enqueue(job()).await;
        let claimed = fx.claim(Claim { worker: wrong.clone(), ..claim() }).await;
        let leases: Vec<Lease> = claimed.into_iter().map(|claimed| claimed.lease).collect();
        assert_eq!(leases.iter().map(|lease| &lease.id).collect::<Vec<_>>(), [&now]);
        fx.clock.advance(LEASE - secs(1));
        assert_eq!(fx.heartbeat_all(&wrong, &leases, LEASE).await, [LeaseStatus::Held]);
        assert_eq!(fx.workers().await[0].seen_at, fx.now(), "the store's clock");
        fx.clock.advance(LEASE - secs(1));
        assert_eq!(fx.sweep().await.rescued, 0);
        let error = AttemptError { at: seen_at, attempt: 99, ..AttemptError::new(ErrorKind::Error, "late") };
        fx.end(&leases[0], Outcome::Failed { error }).await;
        let record = fx.job(&now).await;
        assert_eq!((record.errors[0].at, record.errors[0].attempt), (fx.now(), 1));
        assert_eq!(record.finished_at, Some(fx.now()));
        fx.act(&later, Action::cancel(HOUR)).await;
        fx.clock.advance(HOUR);
    }
}
