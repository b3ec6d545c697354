//! Symptoms of parents and batches: waiting for ever, closing early, closing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::{
    Action, Children, Claim, EnqueueStatus, Finish, JobFilter, Keep, Lease, NewJob, Outcome, QueueConfig,
    Retention, Start, State,
};

use crate::Fixture;
use crate::jobs::{
    HOUR, QUEUE, claim, completed, failed, finish, id, idempotent, named, retry, secs, slots, unique,
};
use crate::races::meet;

fn closing(name: &str) -> NewJob {
    NewJob { start: Start::AfterChildren, ..named(name) }
}

fn child_of(parent: &str, name: &str) -> NewJob {
    NewJob { parent: Some(id(parent)), ..named(name) }
}

/// A closing job, two of its children in a worker's hands for long, and `odd`, its third, which waits.
async fn family(fx: &Fixture, parent: &str, odd: NewJob) -> Vec<Lease> {
    let siblings = ["one", "two"].map(|name| child_of(parent, &format!("{parent}-{name}")));
    fx.enqueue_all(std::iter::once(closing(parent)).chain(siblings).collect()).await;
    let claimed = fx.claim(Claim { lease_for: 24 * HOUR, ..claim() }).await;
    assert_eq!(claimed.len(), 2, "{parent}");
    fx.enqueue(NewJob { parent: Some(id(parent)), ..odd }).await;
    claimed.into_iter().map(|claimed| claimed.lease).collect()
}

/// The other children complete; then the parent runs, and has counted each child once.
async fn assert_closes(fx: &Fixture, parent: &str, siblings: &[Lease], odd: Children) {
    let all = id(parent);
    for lease in siblings {
        assert_eq!(fx.state(&all).await, State::Blocked, "{parent} waits for all");
        fx.end(lease, completed()).await;
    }
    let record = fx.job(&all).await;
    let counted = Children { total: 3, completed: odd.completed + 2, ..odd };
    assert_eq!((record.state, record.children), (State::Available, Some(counted)), "{parent}");
    let lease = fx.claim_one().await.lease;
    assert_eq!(lease.id, all);
    fx.end(&lease, completed()).await;
}

/// Every end that a child can come to, and what may become of it before its last sibling ends.
pub async fn a14_a_parent_waits_for_no_child_that_failed_was_removed_or_never_ran(fx: &Fixture) {
    let failed_once = Children { failed: 1, ..Children::default() };
    let cancelled_once = Children { cancelled: 1, ..Children::default() };
    let cancel = Action::cancel(secs(1));
    let odd = id("odd");

    for delete in ["kept", "deleted", "deleted in bulk", "kept by retention"] {
        let parent = format!("failed-and-{}", delete.replace(' ', "-"));
        let siblings = family(fx, &parent, NewJob { max_attempts: 2, ..named("odd") }).await;
        fx.end(&fx.claim_one().await.lease, retry(Duration::ZERO)).await;
        fx.end(&fx.claim_one().await.lease, failed()).await;
        match delete {
            "deleted" => assert_eq!(fx.act(&odd, Action::Delete).await, 1),
            "deleted in bulk" => {
                let all = JobFilter { parents: vec![id(&parent)], ..JobFilter::default() };
                assert_eq!(fx.act_on(&all, Action::Delete, 100).await, 1, "the siblings run");
            }
            "kept by retention" => {
                let none = Keep { age: None, count: Some(0) };
                let retention = Retention { failed: none, ..Retention::default() };
                fx.set_queue(QUEUE, &QueueConfig { retention, ..QueueConfig::default() }).await;
                assert_eq!(fx.sweep().await.pruned, 0, "its parent may ask for it");
            }
            _ => {}
        }
        assert_closes(fx, &parent, &siblings, failed_once).await;
        fx.act(&odd, Action::Delete).await;
    }
    fx.set_queue(QUEUE, &QueueConfig::default()).await;

    let siblings = family(fx, "poison", NewJob { max_crashes: 0, ..named("poisoned") }).await;
    fx.claim_one().await;
    assert_eq!(fx.crash_workers().await.poisoned, 1);
    assert_closes(fx, "poison", &siblings, failed_once).await;

    let siblings = family(fx, "cancelled", named("waiting")).await;
    assert_eq!(fx.act(&id("waiting"), Action::Delete).await, 0, "what has not ended is not removed");
    assert_eq!(fx.act(&id("waiting"), cancel.clone()).await, 1);
    assert_closes(fx, "cancelled", &siblings, cancelled_once).await;

    let siblings = family(fx, "fenced", named("deaf")).await;
    fx.claim_one().await;
    fx.act(&id("deaf"), cancel.clone()).await;
    fx.clock.advance(secs(2));
    assert_eq!(fx.sweep().await.fenced, 1);
    assert_closes(fx, "fenced", &siblings, cancelled_once).await;

    let siblings = family(fx, "asked", named("obedient")).await;
    let lease = fx.claim_one().await.lease;
    fx.act(&id("obedient"), cancel.clone()).await;
    fx.end_asked(&lease, Outcome::Released).await;
    assert_closes(fx, "asked", &siblings, cancelled_once).await;

    let siblings = family(fx, "dead", named("asked-and-dead")).await;
    fx.claim_one().await;
    fx.act(&id("asked-and-dead"), Action::cancel(HOUR)).await;
    fx.crash_workers().await;
    assert_closes(fx, "dead", &siblings, cancelled_once).await;

    // Nobody runs its kind: it waits, and so does its parent, until somebody says what is to become of it.
    let siblings = family(fx, "unknown", NewJob { kind: "mail".into(), ..named("mail") }).await;
    fx.crash_workers().await;
    assert!(fx.claim_ids().await.is_empty());
    let mail = JobFilter { kinds: vec!["mail".into()], ..JobFilter::default() };
    assert_eq!(fx.act_on(&mail, cancel.clone(), 100).await, 1);
    assert_closes(fx, "unknown", &siblings, cancelled_once).await;

    // It is a batch itself, and waits for a child of its own.
    let siblings = family(fx, "outer", closing("inner")).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    let inner = Children { completed: 1, ..Children::default() };
    assert_closes(fx, "outer", &siblings, inner).await;
}

/// Nothing to wait for, in every way to come to it.
pub async fn a15_an_empty_batch_closes_at_once_with_zeros(fx: &Fixture) {
    assert!(fx.enqueue_all(Vec::new()).await.is_empty());
    fx.enqueue(closing("empty")).await;
    assert_closed_empty(fx, "empty").await;

    // All of its children are jobs from outside: one waits, one has ended, one has another's promise.
    fx.enqueue_all(vec![named("ended"), unique("k", None), idempotent("i", "f")]).await;
    let outside = fx.claim(claim()).await;
    assert_eq!(outside.len(), 3);
    fx.end(&outside[0].lease, completed()).await;
    let of = |job: NewJob| NewJob { parent: Some(id("joined")), ..job };
    let children = vec![of(named("ended")), of(unique("k", None)), of(idempotent("i", "f"))];
    let answers = fx.enqueue_all(std::iter::once(closing("joined")).chain(children).collect()).await;
    assert!(answers[1..].iter().all(|answer| answer.status == EnqueueStatus::Duplicate));
    assert_closed_empty(fx, "joined").await;
    fx.end(&outside[1].lease, failed()).await;

    // A running job adds a batch without children.
    let lease = fx.running_from(named("adds")).await.lease;
    fx.finish_all(vec![Finish { follow_ups: vec![closing("follows")], ..finish(&lease, completed()) }]).await;
    assert_closed_empty(fx, "follows").await;
}

async fn assert_closed_empty(fx: &Fixture, name: &str) {
    assert_eq!(fx.job(&id(name)).await.children, Some(Children::default()));
    let lease = fx.claim_one().await.lease;
    assert_eq!(lease.id, id(name));
    fx.end(&lease, completed()).await;
}

/// Children that end at once, added ten at a time by a job that is one of them, and a worker that dies in the middle.
pub async fn a16_a_closing_job_runs_once_and_after_children_that_end_before_the_batch_is_written(
    fx: &Fixture,
) {
    const PIECES: usize = 20;
    fx.enqueue_all(vec![closing("all"), child_of("all", "adder"), child_of("all", "doomed")]).await;
    let adder = fx.claim_one().await.lease;
    assert_eq!((&adder.id, fx.claim_one().await.lease.id), (&id("adder"), id("doomed")));
    let is_written = Arc::new(AtomicBool::new(false));
    let ended = meet(fx, 5, |fx, number| {
        let (adder, is_written) = (adder.clone(), Arc::clone(&is_written));
        Box::pin(async move {
            if number == 0 {
                for piece in 0..PIECES {
                    let name = |n| format!("{piece}-{n}");
                    fx.enqueue_all((0..10).map(|n| child_of("all", &name(n))).collect()).await;
                }
                fx.end(&adder, completed()).await;
                is_written.store(true, Ordering::SeqCst);
                return 0;
            }
            let mut ended = 0;
            loop {
                let was_written = is_written.load(Ordering::SeqCst);
                let claimed = fx.claim(Claim { queues: vec![slots(QUEUE, 4)], ..claim() }).await;
                if claimed.is_empty() && was_written {
                    return ended;
                }
                ended += claimed.len();
                fx.finish_all(claimed.iter().map(|c| finish(&c.lease, completed())).collect()).await;
                tokio::task::yield_now().await;
            }
        })
    })
    .await;
    let total = 10 * PIECES as u64;
    assert_eq!(ended.iter().sum::<usize>() as u64, total, "each child once, and not yet the closing job");
    assert_eq!(fx.state(&id("all")).await, State::Blocked, "the dead worker's child is not done");
    assert_eq!(fx.crash_workers().await.rescued, 1);
    fx.end(&fx.claim_one().await.lease, failed()).await;
    let counted = Children { total: total + 2, completed: total + 1, failed: 1, cancelled: 0 };
    assert_eq!(fx.job(&id("all")).await.children, Some(counted));
    assert_eq!(fx.claim_ids().await, [id("all")], "once");
    fx.crash_workers().await;
    let lease = fx.claim_one().await.lease;
    assert_eq!(lease.id, id("all"), "a crash of its own worker does not count as that one run");
    fx.end(&lease, completed()).await;

    // A child that is run again by hand does not open the batch again.
    let again = id("0-0");
    assert_eq!(fx.act(&again, Action::Retry).await, 1);
    let lease = fx.claim_one().await.lease;
    assert_eq!(lease.id, again);
    fx.end(&lease, failed()).await;
    assert!(fx.claim_ids().await.is_empty());
    let record = fx.job(&id("all")).await;
    let counted = Children { completed: total, failed: 2, ..counted };
    assert_eq!(
        (record.state, record.children),
        (State::Completed, Some(counted)),
        "its counts are as they are now"
    );
}
