//! Races: calls that meet at the same moment on several threads, many times over. Whoever wins, there is one
//! winner, and what is read afterwards fits the answers.

mod bounds;
mod queue_limits;
mod unique;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use longhaul::{
    Action, CancelReason, Children, Claim, EnqueueStatus, Enqueued, Finish, JobId, LeaseStatus, Lookup,
    NewJob, Outcome, Start, State, Swept,
};
use tokio::sync::Barrier;

pub use self::bounds::{
    a_full_queue_that_drops_the_oldest_keeps_as_many_as_may_wait, no_more_jobs_wait_than_a_full_queue_lets,
};
pub use self::queue_limits::{
    changes_of_different_fields_of_a_queue_are_all_kept,
    no_more_jobs_run_than_a_queue_has_slots_whoever_claims,
    slots_that_are_set_while_jobs_begin_and_end_are_counted_once,
};
pub use self::unique::{
    a_follow_while_the_holder_ends_is_freed_or_created_anew, a_replace_and_a_claim_have_one_winner,
    a_supersede_while_the_holder_ends_leaves_one_holder, many_superseders_leave_one_holder,
    one_of_many_debounced_enqueuers_creates_the_job, one_of_many_followers_waits_behind_the_running_job,
    one_of_many_throttled_enqueuers_creates_the_job,
};
use crate::Fixture;
use crate::fixture::{ok, within};
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, delayed, finish, id, idempotent, job, named, retry, secs, slots,
    unique, worker,
};

/// The number of times that two or three calls are made to meet. Each meeting is a few milliseconds at most.
pub(crate) const ROUNDS: usize = 60;
/// The number of calls that meet, where any number may.
pub(crate) const CROWD: usize = 8;

/// Runs all of `tasks`, none of which begins before each has a thread or is queued for one.
pub(crate) async fn meet<T: Send + 'static>(
    fx: &Fixture,
    count: usize,
    task: impl Fn(Fixture, usize) -> futures::future::BoxFuture<'static, T>,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(count));
    let tasks = (0..count).map(|number| {
        let (barrier, task) = (Arc::clone(&barrier), task(fx.clone(), number));
        tokio::spawn(async move {
            barrier.wait().await;
            task.await
        })
    });
    let ended = within("calls that meet", join_all(tasks.collect::<Vec<_>>())).await;
    ended.into_iter().map(|answer| answer.unwrap_or_else(|panic| panic!("a task failed: {panic}"))).collect()
}

/// Runs two calls at once.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(2));
    let together = Arc::clone(&barrier);
    let one = tokio::spawn(async move {
        together.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        barrier.wait().await;
        other.await
    });
    match within("calls that meet", async { tokio::join!(one, other) }).await {
        (Ok(one), Ok(other)) => (one, other),
        failed => panic!("a task failed: {:?} {:?}", failed.0.err(), failed.1.err()),
    }
}

/// N claimers over M jobs.
pub async fn each_job_is_claimed_by_one_of_many_claimers(fx: &Fixture) {
    let ids: BTreeSet<JobId> =
        fx.enqueue_all((0..400).map(|_| job()).collect()).await.into_iter().map(|e| e.id).collect();
    let claimed = meet(fx, CROWD, |fx, number| {
        Box::pin(async move {
            let name = format!("w{number}");
            let mut taken = Vec::new();
            loop {
                let queues = vec![slots(QUEUE, 1 + number)];
                let claimed = fx.claim(Claim { worker: worker(&name), queues, ..claim() }).await;
                assert!(claimed.len() <= 1 + number);
                if claimed.is_empty() {
                    return (name, taken);
                }
                taken.extend(claimed.into_iter().map(|claimed| claimed.lease));
            }
        })
    })
    .await;
    let all: Vec<_> = claimed.iter().flat_map(|(_, leases)| leases).collect();
    assert_eq!(all.len(), ids.len(), "each job once");
    assert_eq!(all.iter().map(|lease| lease.id.clone()).collect::<BTreeSet<_>>(), ids);
    for (worker, leases) in &claimed {
        let taken: Vec<JobId> = leases.iter().map(|lease| lease.id.clone()).collect();
        for record in fx.lookup_all(&taken).await.into_iter().filter_map(Lookup::found) {
            assert_eq!((record.state, record.attempt), (State::Running, 1));
            assert_eq!(record.worker.as_ref(), Some(worker), "whom it was given to");
        }
        let statuses = fx.heartbeat_all(&crate::jobs::worker(worker), leases, LEASE).await;
        assert!(statuses.iter().all(|status| *status == LeaseStatus::Held));
    }
}

/// Many waiting claimers, few jobs: all of them are woken, one takes each job, and the others go on waiting.
pub async fn a_waiting_claimer_never_takes_what_another_took(fx: &Fixture) {
    const JOBS: usize = 100;
    let enqueuer = fx.clone();
    let enqueue = tokio::spawn(async move {
        for _ in 0..JOBS {
            enqueuer.enqueue(job()).await;
            tokio::task::yield_now().await;
        }
        // The end of the work, once for each claimer.
        let stop = (0..CROWD).map(|_| NewJob { kind: "stop".into(), priority: -100, ..job() });
        enqueuer.enqueue_all(stop.collect()).await;
    });
    let taken = meet(fx, CROWD, |fx, _| {
        Box::pin(async move {
            let mut taken = Vec::new();
            loop {
                let kinds = vec![crate::jobs::kind("resize", 1), crate::jobs::kind("stop", 1)];
                let waiting = Claim { wait: HOUR, queues: vec![slots(QUEUE, 1)], kinds, ..claim() };
                let claimed = ok("claim", fx.store.claim(waiting).await);
                assert_eq!(claimed.len(), 1, "a waiting claim answers when it has a job, and not before");
                if claimed[0].kind == "stop" {
                    return taken;
                }
                assert_eq!(claimed[0].attempt, 1);
                taken.push(claimed[0].lease.id.clone());
            }
        })
    })
    .await;
    within("the enqueuer", enqueue).await.unwrap_or_else(|panic| panic!("a task failed: {panic}"));
    let all: Vec<JobId> = taken.into_iter().flatten().collect();
    assert_eq!(all.len(), JOBS);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), JOBS, "each job once");
}

/// Checks that of many answers one says "created", and that all name that job.
async fn assert_one_created(fx: &Fixture, answers: &[Enqueued]) {
    let created: Vec<&Enqueued> =
        answers.iter().filter(|answer| answer.status == EnqueueStatus::Created).collect();
    assert_eq!(created.len(), 1, "{answers:?}");
    for answer in answers {
        assert_eq!(answer.id, created[0].id, "all are given the one job");
    }
    assert_eq!(fx.claim_ids().await, [created[0].id.clone()], "and there is only the one");
}

/// N enqueuers of one unique key.
pub async fn one_of_many_enqueuers_of_a_unique_key_creates_the_job(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let offer = move |fx: Fixture, _| -> futures::future::BoxFuture<'static, Enqueued> {
            Box::pin(async move { fx.offer(unique(&format!("k{round}"), None)).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        assert_one_created(fx, &answers).await;
    }
}

/// N enqueuers of one id.
pub async fn one_of_many_enqueuers_of_an_id_creates_the_job(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let offer = move |fx: Fixture, _| -> futures::future::BoxFuture<'static, Enqueued> {
            Box::pin(async move { fx.offer(named(&format!("j{round}"))).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        assert_one_created(fx, &answers).await;
    }
}

/// N enqueuers of one idempotency key.
pub async fn one_of_many_enqueuers_of_an_idempotency_key_creates_the_job(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let offer = move |fx: Fixture, _| -> futures::future::BoxFuture<'static, Enqueued> {
            Box::pin(async move { fx.offer(idempotent(&format!("k{round}"), "f")).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        assert_one_created(fx, &answers).await;
    }
}

/// Finish twice at once.
pub async fn one_of_two_finishes_has_an_effect(fx: &Fixture) {
    for round in 0..ROUNDS {
        let lease = fx.running().await.lease;
        let names = [format!("{round}-good"), format!("{round}-retried")];
        let end = |outcome, name: &str| Finish { follow_ups: vec![named(name)], ..finish(&lease, outcome) };
        let (good, bad) = (end(completed(), &names[0]), end(retry(HOUR), &names[1]));
        let (one, other) = (fx.clone(), fx.clone());
        let (good, bad) = both(async move { one.finish_all(vec![good]).await[0] }, async move {
            other.finish_all(vec![bad]).await[0]
        })
        .await;
        let state = fx.state(&lease.id).await;
        let next = fx.lookup_all(&names.map(|name| id(&name))).await;
        match (good, bad) {
            // The retry came too late: it is told that the run is over, and has no effect.
            (LeaseStatus::Held, LeaseStatus::Held) => {
                assert_eq!(state, State::Completed);
                assert!(matches!(&next[..], [Lookup::Found(_), Lookup::Unknown]));
                fx.claim_one().await;
            }
            (LeaseStatus::Lost, LeaseStatus::Held) => {
                assert_eq!(state, State::Scheduled);
                assert_eq!(next, [Lookup::Unknown, Lookup::Unknown], "follow-ups of the loser are none");
            }
            answers => panic!("exactly one has an effect, not {answers:?}"),
        }
    }
}

/// Expire while finishing.
pub async fn a_lease_that_expires_while_finishing_has_one_winner(fx: &Fixture) {
    for round in 0..ROUNDS {
        let lease = fx.running().await.lease;
        fx.clock.advance(LEASE + secs(1));
        let next = format!("{round}-next");
        let end = Finish { follow_ups: vec![named(&next)], ..finish(&lease, completed()) };
        let (one, other) = (fx.clone(), fx.clone());
        let (status, swept) =
            both(async move { one.finish_all(vec![end]).await[0] }, async move { other.sweep().await }).await;
        let record = fx.job(&lease.id).await;
        let next = fx.lookup(&id(&next)).await;
        match (status, swept.rescued) {
            (LeaseStatus::Held, 0) => {
                assert_eq!((record.state, record.crashes), (State::Completed, 0));
                assert!(matches!(next, Lookup::Found(_)));
            }
            (LeaseStatus::Lost, 1) => {
                assert_eq!((record.state, record.crashes), (State::Available, 1));
                assert_eq!((record.output, next), (None, Lookup::Unknown));
            }
            answers => panic!("either it ends or it is rescued, not {answers:?}"),
        }
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// Cancel while finishing.
pub async fn a_cancel_while_finishing_is_not_lost(fx: &Fixture) {
    let cancel = Action::cancel(HOUR);
    for _ in 0..ROUNDS {
        let again = fx.running().await.lease;
        let lease = again.clone();
        let (one, other) = (fx.clone(), fx.clone());
        let (status, acted) = both(async move { one.finish(&lease, retry(Duration::ZERO)).await }, {
            let (id, cancel) = (again.id.clone(), cancel.clone());
            async move { other.act(&id, cancel).await }
        })
        .await;
        assert_ne!(status, LeaseStatus::Lost);
        assert_eq!((acted, fx.state(&again.id).await), (1, State::Cancelled), "in either order it is heard");
        assert!(fx.claim_ids().await.is_empty());

        let good = fx.running().await.lease;
        let lease = good.clone();
        let (one, other) = (fx.clone(), fx.clone());
        let (status, acted) = both(async move { one.finish(&lease, completed()).await }, {
            let (id, cancel) = (good.id.clone(), cancel.clone());
            async move { other.act(&id, cancel).await }
        })
        .await;
        assert_ne!(status, LeaseStatus::Lost);
        let record = fx.job(&good.id).await;
        assert_eq!((record.state, record.cancel_requested), (State::Completed, false), "{acted} cancelled");
    }
}

/// Fence off while finishing.
pub async fn a_fence_while_finishing_has_one_winner(fx: &Fixture) {
    for _ in 0..ROUNDS {
        let lease = fx.running().await.lease;
        fx.act(&lease.id, Action::cancel(secs(5))).await;
        fx.clock.advance(secs(6));
        let (end, one, other) = (lease.clone(), fx.clone(), fx.clone());
        let (status, swept) =
            both(async move { one.finish(&end, completed()).await }, async move { other.sweep().await })
                .await;
        let state = fx.state(&lease.id).await;
        match swept.fenced {
            0 => assert!(status != LeaseStatus::Lost && state == State::Completed, "{status:?} {state}"),
            1 => assert_eq!((status, state), (LeaseStatus::Lost, State::Cancelled)),
            _ => panic!("there is one job to fence off: {swept:?}"),
        }
    }
}

/// Two sweepers, and more.
pub async fn two_sweepers_do_everything_once(fx: &Fixture) {
    for _ in 0..ROUNDS / 10 {
        let ended: Vec<Finish> = fx.claim_many(10).await.iter().map(|l| finish(l, completed())).collect();
        fx.finish_all(ended).await;
        fx.clock.advance(secs(25 * 3600));
        let dead = fx.claim_many(20).await;
        let stubborn = fx.claim_many(5).await;
        for lease in &stubborn {
            fx.act(&lease.id, Action::cancel(secs(10))).await;
        }
        fx.heartbeat_all(&worker("w1"), &stubborn, HOUR).await;
        fx.enqueue_all((0..15).map(|_| delayed(secs(20))).collect()).await;
        fx.clock.advance(LEASE + secs(1));
        let swept = meet(fx, 4, |fx, _| Box::pin(async move { fx.sweep().await })).await;
        let total = swept.iter().fold(Swept::default(), |sum, swept| Swept {
            promoted: sum.promoted + swept.promoted,
            rescued: sum.rescued + swept.rescued,
            poisoned: sum.poisoned + swept.poisoned,
            fenced: sum.fenced + swept.fenced,
            expired: sum.expired + swept.expired,
            pruned: sum.pruned + swept.pruned,
        });
        assert_eq!(total, Swept { promoted: 15, rescued: 20, fenced: 5, pruned: 10, ..Swept::default() });
        for lease in &dead {
            assert_eq!(fx.job(&lease.id).await.crashes, 1, "a crash is counted once");
        }
        let left = fx.claim(claim()).await;
        assert_eq!(left.len(), 35, "all that was promoted or rescued");
        let ends = left.iter().map(|claimed| {
            finish(
                &claimed.lease,
                Outcome::Cancelled { reason: "done".into(), cancel_reason: CancelReason::Asked },
            )
        });
        fx.finish_all(ends.collect()).await;
        // What these left behind is gone before the next round begins.
        fx.clock.advance(secs(25 * 3600));
        fx.sweep().await;
    }
}

/// A worker that was thought dead comes back with its result while its successor ends the job too.
pub async fn a_rescued_worker_never_overwrites_its_successor(fx: &Fixture) {
    for _ in 0..ROUNDS {
        let zombie = fx.running().await.lease;
        assert_eq!(fx.crash_workers().await.rescued, 1);
        let (old, one, other) = (zombie.clone(), fx.clone(), fx.clone());
        let (late, successor) = both(
            async move {
                let heard = one.heartbeat(&old).await;
                (heard, one.finish(&old, completed()).await)
            },
            async move {
                let lease = other.claim_one().await.lease;
                let held = other.heartbeat(&lease).await;
                (held, other.finish(&lease, crate::jobs::failed()).await)
            },
        )
        .await;
        assert_eq!(late, (LeaseStatus::Lost, LeaseStatus::Lost));
        assert_eq!(successor, (LeaseStatus::Held, LeaseStatus::Held));
        let record = fx.job(&zombie.id).await;
        assert_eq!((record.state, record.output), (State::Failed, None));
    }
}

/// The last children of a batch end at the same moment.
pub async fn the_last_children_free_their_parent_once(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let all = id(&format!("all-{round}"));
        let closing = NewJob { start: Start::AfterChildren, ..named(all.as_str()) };
        let child = |_| NewJob { parent: Some(all.clone()), ..job() };
        fx.enqueue_all(std::iter::once(closing).chain((0..CROWD).map(child)).collect()).await;
        let leases: Arc<Vec<_>> = Arc::new(fx.claim(claim()).await.into_iter().map(|c| c.lease).collect());
        assert_eq!(leases.len(), CROWD, "the children, and nothing else");
        meet(fx, CROWD, |fx, number| {
            let lease = leases[number].clone();
            let outcome = if number % 2 == 0 { completed() } else { crate::jobs::failed() };
            Box::pin(async move { fx.end(&lease, outcome).await })
        })
        .await;
        let half = CROWD as u64 / 2;
        let counted = Children { total: 2 * half, completed: half, failed: half, cancelled: 0 };
        let record = fx.job(&all).await;
        assert_eq!((record.state, record.children), (State::Available, Some(counted)));
        // One change for each child that joins, one for each that ends, and the first.
        assert_eq!(record.last_event, 1 + 4 * half, "the last of them freed it, and none after it");
        fx.end(&fx.claim_one().await.lease, completed()).await;
        assert_eq!(fx.state(&all).await, State::Completed);
    }
}

/// Children join a batch while its last child ends.
pub async fn a_child_that_joins_while_the_last_one_ends_is_waited_for_or_too_late(fx: &Fixture) {
    for round in 0..ROUNDS {
        let all = id(&format!("all-{round}"));
        let closing = NewJob { start: Start::AfterChildren, ..named(all.as_str()) };
        let child = NewJob { parent: Some(all.clone()), ..job() };
        fx.enqueue_all(vec![closing, child.clone()]).await;
        let lease = fx.claim_one().await.lease;
        let (one, other) = (fx.clone(), fx.clone());
        both(async move { one.end(&lease, completed()).await }, async move { other.enqueue(child).await })
            .await;
        let record = fx.job(&all).await;
        let left = match record.children {
            Some(Children { total: 1, completed: 1, failed: 0, cancelled: 0 }) => {
                assert_eq!(record.state, State::Available, "it was freed, and counts no more");
                2
            }
            Some(Children { total: 2, completed: 1, failed: 0, cancelled: 0 }) => {
                assert_eq!(record.state, State::Blocked, "it waits for the second");
                1
            }
            children => panic!("{children:?}"),
        };
        let claimed = fx.claim(claim()).await;
        assert_eq!(claimed.len(), left);
        fx.finish_all(claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
        if left == 1 {
            fx.end(&fx.claim_one().await.lease, completed()).await;
        }
        assert_eq!(fx.state(&all).await, State::Completed);
    }
}

/// A limit key is paused while many claim jobs of it.
pub async fn no_claim_that_begins_after_a_pause_takes_a_job_of_its_key(fx: &Fixture) {
    let limited = || NewJob { limit_keys: vec!["provider".into()], ..job() };
    for _ in 0..ROUNDS / 6 {
        let lease = fx.running_from(limited()).await.lease;
        fx.enqueue_all((0..4 * CROWD).map(|_| limited()).collect()).await;
        let taken = meet(fx, CROWD, |fx, number| {
            let lease = lease.clone();
            Box::pin(async move {
                let one = Claim { queues: vec![slots(QUEUE, 1)], ..claim() };
                let mut taken = fx.claim(one.clone()).await;
                if number == 0 {
                    fx.end(&lease, Outcome::RateLimited { delay: secs(10) }).await;
                    assert!(fx.claim(one).await.is_empty(), "the pause has begun");
                } else {
                    taken.extend(fx.claim(one).await);
                }
                taken
            })
        })
        .await;
        assert!(fx.claim_ids().await.is_empty(), "for everybody");
        let taken: Vec<_> = taken.into_iter().flatten().map(|claimed| claimed.lease).collect();
        fx.finish_all(taken.iter().map(|lease| finish(lease, completed())).collect()).await;
        fx.clock.advance(secs(10));
        let left = fx.claim(claim()).await;
        assert_eq!(left.len() + taken.len(), 4 * CROWD + 1, "each was taken once, before the pause or after");
        fx.finish_all(left.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    }
}
