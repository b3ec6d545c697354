//! The contract of unique keys.

use longhaul::{Action, EnqueueStatus, Enqueued, JobId, Lookup, NewJob, OnClash, Start, State, Unique};

use crate::Fixture;
use crate::jobs::{
    HOUR, KIND, QUEUE, cancelled, claim, completed, failed, id, json, kind, retry, secs, slots, unique,
};

/// A job with the key `k` and an id.
fn keyed(name: &str) -> NewJob {
    NewJob { id: Some(id(name)), ..unique("k", None) }
}

/// A job with the key `k`, an id and a period of a minute.
fn cached(name: &str) -> NewJob {
    NewJob { id: Some(id(name)), ..unique("k", Some(secs(60))) }
}

async fn assert_joins(fx: &Fixture, job: NewJob, holder: &JobId, when: &str) {
    let own = job.id.clone();
    let answer = fx.offer(job).await;
    assert_eq!(answer, Enqueued::new(holder.clone(), EnqueueStatus::Duplicate), "{when}");
    if let Some(own) = own {
        assert_eq!(fx.lookup(&own).await, Lookup::Unknown, "{when}: nothing was created");
    }
}

/// "A held unique key joins the job that holds it."
pub async fn a_held_unique_key_joins_the_job_that_holds_it(fx: &Fixture) {
    let holder = fx.enqueue(NewJob { start: Start::After(secs(5)), ..cached("a") }).await;
    let before = fx.seen(&holder).await;
    let other = NewJob { kind: "mail".into(), queue: "elsewhere".into(), args: json("2"), ..keyed("b") };
    assert_joins(fx, other.clone(), &holder, "scheduled, and of another kind and queue").await;
    assert_eq!(fx.seen(&holder).await, before, "the holder is left as it is");
    assert!(fx.counts("elsewhere").await.is_empty());
    fx.enqueue(NewJob { id: Some(id("c")), start: Start::After(secs(9)), ..unique("k2", None) }).await;

    fx.clock.advance(secs(5));
    fx.sweep().await;
    assert_joins(fx, keyed("b"), &holder, "available").await;
    let claimed = fx.claim_one().await;
    assert_joins(fx, keyed("b"), &holder, "running").await;
    fx.end(&claimed.lease, retry(secs(20))).await;
    assert_joins(fx, keyed("b"), &holder, "waiting for a retry").await;
    fx.clock.advance(secs(20));
    let claimed = fx.claim(longhaul::Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await;
    assert_eq!(claimed.len(), 1);
    fx.crash_workers().await;
    assert_joins(fx, keyed("b"), &holder, "rescued").await;
}

/// "The same unique key twice in one call is one job."
pub async fn the_same_unique_key_twice_in_one_call_is_one_job(fx: &Fixture) {
    let other = NewJob { id: Some(id("x")), ..unique("other", None) };
    let answers = fx.enqueue_all(vec![keyed("a"), other, keyed("b")]).await;
    assert_eq!(
        answers,
        [
            Enqueued::new(id("a"), EnqueueStatus::Created),
            Enqueued::new(id("x"), EnqueueStatus::Created),
            Enqueued::new(id("a"), EnqueueStatus::Duplicate),
        ]
    );
    assert_eq!(fx.lookup(&id("b")).await, Lookup::Unknown);
    assert_eq!(fx.claim_ids().await, [id("a"), id("x")]);
}

/// "A unique key is free once its job has failed."
pub async fn a_unique_key_is_free_once_its_job_has_failed(fx: &Fixture) {
    let period = |name: &str| NewJob { max_crashes: 0, ..cached(name) };
    let claimed = fx.running_from(period("a")).await;
    fx.end(&claimed.lease, failed()).await;
    let claimed = fx.running_from(period("b")).await;
    let swept = fx.crash_workers().await;
    assert_eq!(swept.poisoned, 1, "{} fails as poison", claimed.lease.id);
    fx.enqueue(period("c")).await;
    assert_joins(fx, keyed("d"), &id("c"), "the key is the last one's now").await;
}

/// "A unique key is free once its job was cancelled."
pub async fn a_unique_key_is_free_once_its_job_was_cancelled(fx: &Fixture) {
    let waiting = fx.enqueue(cached("waiting")).await;
    assert_eq!(fx.act(&waiting, Action::cancel(secs(10))).await, 1);

    let by_itself = fx.running_from(cached("by-itself")).await;
    fx.end(&by_itself.lease, cancelled()).await;

    let asked = fx.running_from(cached("asked")).await;
    assert_eq!(fx.act(&asked.lease.id, Action::cancel(secs(10))).await, 1);
    assert_joins(fx, keyed("x"), &id("asked"), "a request to stop is not yet the end").await;
    fx.finish(&asked.lease, retry(secs(1))).await;

    let fenced = fx.running_from(cached("fenced")).await;
    fx.act(&fenced.lease.id, Action::cancel(secs(10))).await;
    fx.clock.advance(secs(11));
    assert_eq!(fx.sweep().await.fenced, 1);

    fx.enqueue(cached("last")).await;
    for name in ["waiting", "by-itself", "asked", "fenced"] {
        assert_eq!(fx.state(&id(name)).await, State::Cancelled, "{name}");
    }
}

/// "A unique key is free once its job completed without a period."
pub async fn a_unique_key_is_free_once_its_job_completed_without_a_period(fx: &Fixture) {
    let claimed = fx.running_from(keyed("a")).await;
    fx.end(&claimed.lease, completed()).await;
    let second = fx.running_from(keyed("b")).await;
    assert_joins(fx, keyed("c"), &id("b"), "the key is the second one's now").await;
    // The first job's lease ended with it: what it says late must not free the second one's key.
    fx.finish(&claimed.lease, completed()).await;
    assert_joins(fx, keyed("c"), &id("b"), "after a late finish of the first").await;
    fx.end(&second.lease, completed()).await;
    fx.enqueue(keyed("c")).await;
}

/// "A unique key with a period outlives completion by the period."
pub async fn a_unique_key_with_a_period_outlives_completion_by_the_period(fx: &Fixture) {
    let claimed = fx.running_from(cached("a")).await;
    fx.clock.advance(secs(20));
    fx.heartbeat(&claimed.lease).await;
    fx.clock.advance(secs(20));
    fx.end(&claimed.lease, completed()).await;
    fx.clock.advance(secs(59));
    fx.sweep().await;
    assert_joins(fx, keyed("b"), &id("a"), "within the period, which begins with the completion").await;
    assert_joins(fx, cached("c"), &id("a"), "and asking does not make it longer").await;
    fx.clock.advance(secs(2));
    fx.enqueue(keyed("b")).await;
    assert_joins(fx, keyed("c"), &id("b"), "the key is the second one's now").await;
    assert_eq!(fx.state(&id("a")).await, State::Completed, "the first job's history is kept apart");

    // A period longer than the wait of any other test, and a second kind that shares the key.
    let long = Unique { period: Some(HOUR), ..Unique::new("long") };
    let long = NewJob { id: Some(id("l")), queue: "long".into(), unique: Some(long), ..keyed("l") };
    fx.enqueue(long).await;
    let queues = vec![slots("long", 1)];
    let claimed = fx.claim(longhaul::Claim { queues, kinds: vec![kind(KIND, 1)], ..claim() }).await;
    fx.end(&claimed[0].lease, completed()).await;
    fx.clock.advance(HOUR - secs(1));
    assert_joins(fx, NewJob { id: Some(id("m")), ..unique("long", None) }, &id("l"), "most of an hour").await;
}

/// "A refresh joins an unfinished holder."
pub async fn a_refresh_joins_an_unfinished_holder(fx: &Fixture) {
    let held = fx.enqueue(NewJob { id: Some(id("first")), ..unique("k", Some(HOUR)) }).await;
    let joined = fx.offer(refresh("second")).await;
    assert!(joined.is_duplicate());
    assert_eq!(joined.id, held);
    fx.claim_one().await;
    assert_eq!(fx.offer(refresh("second")).await.id, held, "a running one too");
}

/// "A refresh takes the key from a finished holder."
pub async fn a_refresh_takes_the_key_from_a_finished_holder(fx: &Fixture) {
    let first = fx.running_from(NewJob { id: Some(id("first")), ..unique("k", Some(HOUR)) }).await;
    fx.end(&first.lease, completed()).await;
    let cached = fx.offer(NewJob { id: Some(id("reader")), ..unique("k", Some(HOUR)) }).await;
    assert_eq!((cached.id.as_str(), cached.is_duplicate()), ("first", true));
    assert_eq!(fx.enqueue(refresh("second")).await, id("second"));
    let reader = || NewJob { id: Some(id("reader")), ..unique("k", Some(HOUR)) };
    assert_eq!(fx.offer(reader()).await.id, id("second"), "who joins now joins the new one");
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.offer(reader()).await.id, id("second"), "and is given its result");
    // The old holder's end, whenever it comes, takes nothing from the new one.
    assert_eq!(fx.act(&id("first"), Action::Delete).await, 1);
    assert_eq!(fx.offer(reader()).await.id, id("second"));
}

fn refresh(name: &str) -> NewJob {
    let unique = Unique { period: Some(HOUR), on_clash: OnClash::Refresh, ..Unique::new("k") };
    NewJob { unique: Some(unique), ..crate::jobs::named(name) }
}
