//! The contract of batches: a closing job that waits for its children and starts once.

use std::collections::BTreeMap;
use std::pin::pin;

use longhaul::{
    Action, CancelReason, Children, Claim, Claimed, EnqueueStatus, Event, EventBody, Finish, JobFilter,
    NewJob, Outcome, Start, State,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{HOUR, LEASE, completed, delayed, failed, finish, id, idempotent, named, retry, secs};

/// The closing job that most tests use.
const ALL: &str = "all";

fn closing() -> NewJob {
    NewJob { start: Start::AfterChildren, ..named(ALL) }
}

fn child(name: &str) -> NewJob {
    NewJob { parent: Some(id(ALL)), ..named(name) }
}

/// Enqueues the closing job with these children, and claims all that is available.
async fn batch(fx: &Fixture, children: &[&str]) -> Vec<Claimed> {
    let jobs = std::iter::once(closing()).chain(children.iter().map(|name| child(name))).collect();
    fx.enqueue_all(jobs).await;
    let claimed = fx.claim(crate::jobs::claim()).await;
    assert_eq!(claimed.len(), children.len(), "the children are available, and nothing else");
    claimed
}

async fn children(fx: &Fixture) -> Children {
    fx.job(&id(ALL)).await.children.expect("it waits, or waited, for children")
}

fn counted(total: u64, completed: u64, failed: u64, cancelled: u64) -> Children {
    Children { total, completed, failed, cancelled }
}

/// "A job that waits for its children is blocked."
pub async fn a_job_that_waits_for_its_children_is_blocked(fx: &Fixture) {
    fx.enqueue_all(vec![closing(), child("a"), NewJob { ..delayed(secs(60)) }, child("b")]).await;
    let record = fx.job(&id(ALL)).await;
    assert_eq!((record.state, record.attempt), (State::Blocked, 0));
    assert_eq!(record.children, Some(counted(2, 0, 0, 0)));
    assert_eq!(fx.job(&id("a")).await.children, None, "a child has none of its own");
    assert_eq!(fx.claim_ids().await, [id("a"), id("b")]);
    fx.clock.advance(HOUR);
    fx.sweep().await;
    assert_eq!(fx.state(&id(ALL)).await, State::Blocked, "time alone does not free it");
    let filter = JobFilter { parents: vec![id(ALL)], ..JobFilter::default() };
    assert_eq!(fx.list(&filter).await, [id("b"), id("a")], "its children are listed");
}

/// "A job that waits for children and has none is available at once."
pub async fn a_job_that_waits_for_children_and_has_none_is_available_at_once(fx: &Fixture) {
    fx.enqueue(closing()).await;
    assert_eq!(children(fx).await, counted(0, 0, 0, 0));
    assert_eq!(fx.claim_ids().await, [id(ALL)]);

    // A duplicate is nobody's child, so it is not waited for.
    fx.enqueue(named("there")).await;
    let second = NewJob { start: Start::AfterChildren, ..named("second") };
    let there = NewJob { parent: Some(id("second")), ..named("there") };
    fx.enqueue_all(vec![second, there]).await;
    assert_eq!(fx.claim_ids().await, [id("there"), id("second")]);

    // Nor does a job wait for one that came before it, or for itself.
    let third = NewJob { start: Start::AfterChildren, ..named("third") };
    let early = NewJob { parent: Some(id("third")), ..named("early") };
    let own = NewJob { parent: Some(id("own")), start: Start::AfterChildren, ..named("own") };
    fx.enqueue_all(vec![early, third, own]).await;
    assert_eq!(fx.claim_ids().await, [id("early"), id("third"), id("own")]);
    assert_eq!(fx.job(&id("own")).await.children, Some(counted(0, 0, 0, 0)));
}

/// "A child that joins later is waited for too."
pub async fn a_child_that_joins_later_is_waited_for_too(fx: &Fixture) {
    let first = batch(fx, &["a"]).await.remove(0);
    fx.enqueue(child("late")).await;
    // One that is there already does not join, nor does one that is refused with its call.
    fx.enqueue_all(vec![child("a"), child("late")]).await;
    let promise = |fingerprint| NewJob { queue: "elsewhere".into(), ..idempotent("k", fingerprint) };
    fx.enqueue(promise("f")).await;
    let answers = fx.enqueue_all(vec![child("refused"), promise("g")]).await;
    assert_eq!(answers[0].status, EnqueueStatus::NotCreated);
    assert_eq!(children(fx).await, counted(2, 0, 0, 0));
    let again = fx.enqueue_all(vec![closing(), child("late"), child("a")]).await;
    assert!(again.iter().all(|enqueued| enqueued.is_duplicate()), "the same batch once more");
    assert_eq!(children(fx).await, counted(2, 0, 0, 0), "nobody is counted twice");
    fx.end(&first.lease, completed()).await;
    assert_eq!(fx.state(&id(ALL)).await, State::Blocked);
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.state(&id(ALL)).await, State::Available);

    // Once it is free its counts stand still.
    fx.enqueue(child("too-late")).await;
    assert_eq!(children(fx).await, counted(2, 2, 0, 0));
    assert_eq!(fx.claim_ids().await, [id(ALL), id("too-late")]);
}

/// "The last child to end frees its parent."
pub async fn the_last_child_to_end_frees_its_parent(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b", "c"]).await;
    fx.clock.advance(secs(5));
    for (done, child) in claimed.iter().enumerate() {
        assert_eq!(children(fx).await, counted(3, done as u64, 0, 0));
        assert_eq!(fx.state(&id(ALL)).await, State::Blocked);
        fx.end(&child.lease, completed()).await;
    }
    let record = fx.job(&id(ALL)).await;
    assert_eq!((record.state, record.run_at), (State::Available, fx.now()));
    assert_eq!(record.children, Some(counted(3, 3, 0, 0)));
    assert_eq!(fx.claim_ids().await, [id(ALL)]);

    // A batch may be a child of another, and whoever waits for work hears of a closing job that is freed.
    let [outer, inner, leaf] = ["outer", "inner", "leaf"].map(id);
    let outermost = NewJob { start: Start::AfterChildren, ..named("outer") };
    let within_it = NewJob { start: Start::AfterChildren, parent: Some(outer.clone()), ..named("inner") };
    let innermost = NewJob { parent: Some(inner.clone()), ..named("leaf") };
    fx.enqueue_all(vec![outermost, within_it, innermost]).await;
    for (ends, frees) in [(&leaf, &inner), (&inner, &outer)] {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.lease.id, *ends);
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..crate::jobs::claim() }));
        park(fx, waiting.as_mut()).await;
        fx.end(&claimed.lease, completed()).await;
        let freed = ok("claim", within("a closing job that is freed", waiting).await);
        assert_eq!(freed.len(), 1);
        assert_eq!(freed[0].lease.id, *frees);
        fx.end(&freed[0].lease, Outcome::Released).await;
    }
}

/// "A failed child frees its parent all the same."
pub async fn a_failed_child_frees_its_parent_all_the_same(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b", "c"]).await;
    fx.end(&claimed[0].lease, retry(secs(5))).await;
    assert_eq!(children(fx).await, counted(3, 0, 0, 0), "a retry is no end");
    fx.end(&claimed[1].lease, failed()).await;
    fx.end(
        &claimed[2].lease,
        Outcome::Cancelled { reason: "not needed".into(), cancel_reason: CancelReason::Asked },
    )
    .await;
    assert_eq!(children(fx).await, counted(3, 0, 1, 1));
    fx.clock.advance(secs(5));
    fx.end(&fx.claim_one().await.lease, failed()).await;
    assert_eq!(children(fx).await, counted(3, 0, 2, 1));
    assert_eq!(fx.claim_ids().await, [id(ALL)]);
}

/// "A parent is freed once."
pub async fn a_parent_is_freed_once(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b"]).await;
    let ends = claimed.iter().map(|child| finish(&child.lease, completed())).collect::<Vec<_>>();
    fx.finish_all(ends.clone()).await;
    let freed = fx.claim_one().await;
    assert_eq!(freed.lease.id, id(ALL));
    fx.finish_all(ends).await;
    assert_eq!(fx.state(&id(ALL)).await, State::Running, "a late finish changes nothing");
    fx.end(&freed.lease, completed()).await;
    // A child that is run again by hand after the batch has closed does not open it again.
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.state(&id(ALL)).await, State::Completed);
    assert_eq!(children(fx).await, counted(2, 2, 0, 0));
    // Nor does it wait for anybody when it is run again itself.
    assert_eq!(fx.act(&id(ALL), Action::Retry).await, 1);
    assert_eq!(fx.claim_ids().await, [id(ALL)]);
}

/// "A follow up of a child joins the batch before the child is counted."
pub async fn a_follow_up_of_a_child_joins_the_batch_before_the_child_is_counted(fx: &Fixture) {
    let first = batch(fx, &["a"]).await.remove(0);
    let end = Finish { follow_ups: vec![child("b")], ..finish(&first.lease, completed()) };
    fx.finish_all(vec![end]).await;
    assert_eq!(children(fx).await, counted(2, 1, 0, 0));
    assert_eq!(fx.state(&id(ALL)).await, State::Blocked);
    let second = fx.claim_one().await;
    assert_eq!(second.lease.id, id("b"));
    // Whole batches may follow too.
    let inner = NewJob { start: Start::AfterChildren, ..named("inner") };
    let leaf = NewJob { parent: Some(id("inner")), ..named("leaf") };
    let end = Finish { follow_ups: vec![inner, leaf], ..finish(&second.lease, completed()) };
    fx.finish_all(vec![end]).await;
    assert_eq!(fx.state(&id("inner")).await, State::Blocked);
    assert_eq!(fx.claim_ids().await, [id(ALL), id("leaf")], "by age, for both were free at the same moment");
}

/// "A poisoned child is counted."
pub async fn a_poisoned_child_is_counted(fx: &Fixture) {
    let poisoned = NewJob { max_crashes: 0, ..child("a") };
    fx.enqueue_all(vec![closing(), poisoned]).await;
    fx.claim_one().await;
    assert_eq!(fx.crash_workers().await.poisoned, 1);
    assert_eq!(children(fx).await, counted(1, 0, 1, 0));
    assert_eq!(fx.claim_ids().await, [id(ALL)]);
}

/// "A cancelled child is counted."
pub async fn a_cancelled_child_is_counted(fx: &Fixture) {
    fx.enqueue_all(vec![closing(), child("a"), child("b")]).await;
    let filter = JobFilter { parents: vec![id(ALL)], ..JobFilter::default() };
    assert_eq!(fx.act_on(&filter, Action::cancel(LEASE), 10).await, 2);
    assert_eq!(children(fx).await, counted(2, 0, 0, 2));
    assert_eq!(fx.claim_ids().await, [id(ALL)]);

    // So is a running one that does not stop within its grace.
    let other = NewJob { start: Start::AfterChildren, ..named("other") };
    let slow = NewJob { parent: Some(id("other")), ..named("slow") };
    fx.enqueue_all(vec![other, slow]).await;
    fx.claim_one().await;
    assert_eq!(fx.act(&id("slow"), Action::cancel(secs(1))).await, 1);
    fx.clock.advance(secs(1));
    assert_eq!(fx.sweep().await.fenced, 1);
    assert_eq!(fx.state(&id("other")).await, State::Available);

    // The same call meets the closing job after its last child: it is freed, then cancelled, and counted once.
    fx.enqueue_all(batch_in("both", "mail")).await;
    let filter = JobFilter { queues: vec!["mail".into()], ..JobFilter::default() };
    assert_eq!(fx.act_on(&filter, Action::cancel(LEASE), 10).await, 2);
    assert_eq!(fx.counts("mail").await, BTreeMap::from([(State::Cancelled, 2)]));

    // Where it fits the filter only while it waits, it is left alone once it is free.
    fx.enqueue_all(batch_in("left", "post")).await;
    let waiting = vec![State::Blocked, State::Scheduled];
    let filter = JobFilter { queues: vec!["post".into()], states: waiting, ..JobFilter::default() };
    assert_eq!(fx.act_on(&filter, Action::cancel(LEASE), 10).await, 1);
    assert_eq!(fx.counts("post").await, BTreeMap::from([(State::Available, 1), (State::Cancelled, 1)]));
}

/// A closing job and its one child, which is not due yet, in a queue of their own.
fn batch_in(name: &str, queue: &'static str) -> Vec<NewJob> {
    let closing = NewJob { start: Start::AfterChildren, queue: queue.into(), ..named(name) };
    let child = NewJob { parent: Some(id(name)), queue: queue.into(), ..delayed(HOUR) };
    vec![closing, child]
}

/// "A child retried by hand is waited for again."
pub async fn a_child_retried_by_hand_is_waited_for_again(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b"]).await;
    fx.end(&claimed[0].lease, failed()).await;
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    assert_eq!(children(fx).await, counted(2, 0, 0, 0));
    fx.end(&claimed[1].lease, completed()).await;
    assert_eq!(fx.state(&id(ALL)).await, State::Blocked);
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(children(fx).await, counted(2, 2, 0, 0));
    assert_eq!(fx.state(&id(ALL)).await, State::Available);
}

/// "Deleting a child does not change the count."
pub async fn deleting_a_child_does_not_change_the_count(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b"]).await;
    fx.end(&claimed[0].lease, completed()).await;
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 1);
    assert_eq!(children(fx).await, counted(2, 1, 0, 0));
    fx.end(&claimed[1].lease, completed()).await;
    assert_eq!(fx.claim_ids().await, [id(ALL)]);
    // And nobody misses a batch that is gone.
    let late = batch_of_another(fx).await;
    assert_eq!(fx.act(&id("another"), Action::cancel(LEASE)).await, 1);
    assert_eq!(fx.act(&id("another"), Action::Delete).await, 1);
    fx.end(&late.lease, completed()).await;
    assert_eq!(fx.state(&late.lease.id).await, State::Completed);
}

async fn batch_of_another(fx: &Fixture) -> Claimed {
    let another = NewJob { start: Start::AfterChildren, ..named("another") };
    let late = NewJob { parent: Some(id("another")), ..named("late") };
    fx.enqueue_all(vec![another, late]).await;
    fx.claim_one().await
}

/// "A child that ends tells the readers of its parent."
pub async fn a_child_that_ends_tells_the_readers_of_its_parent(fx: &Fixture) {
    let claimed = batch(fx, &["a", "b"]).await;
    let seen = fx.job(&id(ALL)).await.last_event;
    let all = id(ALL);
    let mut waiting = pin!(fx.store.events(&all, seen, 10, HOUR));
    park(fx, waiting.as_mut()).await;
    fx.end(&claimed[0].lease, completed()).await;
    let events: Option<Vec<Event>> = ok("read events", within("the end of a child", waiting).await);
    let events = events.expect("it is there");
    let body = EventBody::State {
        state: State::Blocked,
        error: None,
        children: Some(counted(2, 1, 0, 0)),
        cancel_reason: None,
    };
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].seq, &events[0].body), (seen + 1, &body));
    assert_eq!(fx.job(&all).await.last_event, seen + 1, "and no row is written for it");
}
