//! The contract of the bounds on waiting jobs.

use longhaul::{
    Action, CancelReason, EnqueueStatus, Enqueued, Finish, Full, KeyConfig, Lookup, NewJob, OnClash, OnFull,
    Outcome, QueueConfig, Start, State, Unique,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{
    HOUR, QUEUE, completed, delayed, finish, id, idempotent, job, limited, named, retry, secs, unique,
};

async fn bound_queue(fx: &Fixture, max_waiting: u64, on_full: OnFull) {
    let config = QueueConfig { max_waiting: Some(max_waiting), on_full, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
}

async fn bound_key(fx: &Fixture, key: &str, max_waiting: u64, on_full: OnFull) {
    let config = KeyConfig { max_waiting: Some(max_waiting), on_full, ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key(key, Some(&config)).await);
}

async fn assert_full(fx: &Fixture, job: NewJob, full: Full) {
    let own = job.id.clone();
    let answer = fx.offer(job).await;
    assert_eq!((answer.status, answer.full), (EnqueueStatus::Full, Some(full)));
    if let Some(own) = own {
        assert_eq!(answer.id, own);
        assert_eq!(fx.lookup(&own).await, Lookup::Unknown, "nothing was created");
    }
}

fn this_queue() -> Full {
    Full::Queue(QUEUE.into())
}

async fn assert_dropped(fx: &Fixture, name: &str) {
    let job = fx.job(&id(name)).await;
    assert_eq!((job.state, job.cancel_reason), (State::Cancelled, Some(CancelReason::Dropped)), "{name}");
    assert_eq!(job.finished_at, Some(fx.now()));
}

/// "A full queue refuses a job and the others of the call are created."
pub async fn a_full_queue_refuses_a_job_and_the_others_of_the_call_are_created(fx: &Fixture) {
    bound_queue(fx, 3, OnFull::Reject).await;
    fx.enqueue_all(vec![named("a"), NewJob { id: Some(id("b")), ..delayed(secs(60)) }]).await;
    let elsewhere = || NewJob { queue: "elsewhere".into(), ..job() };
    let calls = vec![named("c"), named("d"), elsewhere(), named("a"), named("e")];
    let answers = fx.enqueue_all(calls).await;
    let statuses: Vec<EnqueueStatus> = answers.iter().map(|answer| answer.status).collect();
    use EnqueueStatus::{Created, Duplicate};
    assert_eq!(statuses, [Created, EnqueueStatus::Full, Created, Duplicate, EnqueueStatus::Full]);
    assert_eq!(answers[1], Enqueued::full(id("d"), this_queue()));
    assert_eq!(fx.lookup(&id("d")).await, Lookup::Unknown);
    let claimed = fx.claim_one().await;
    fx.enqueue(named("d")).await;
    assert_full(fx, named("e"), this_queue()).await;
    fx.end(&claimed.lease, completed()).await;
    assert_full(fx, named("e"), this_queue()).await;
    fx.act(&id("b"), Action::cancel(secs(1))).await;
    fx.enqueue(named("e")).await;
    // What is refused is not remembered.
    let request = || NewJob { idempotency: idempotent("i", "f").idempotency, ..named("f") };
    assert_full(fx, request(), this_queue()).await;
    fx.claim_one().await;
    assert_eq!(fx.enqueue(request()).await, id("f"));
    bound_queue(fx, 1, OnFull::Reject).await;
    assert_full(fx, job(), this_queue()).await;
    fx.set_queue(QUEUE, &QueueConfig::default()).await;
    fx.enqueue(job()).await;
}

/// "A full queue that drops the oldest cancels it for the new job."
pub async fn a_full_queue_that_drops_the_oldest_cancels_it_for_the_new_job(fx: &Fixture) {
    bound_queue(fx, 2, OnFull::DropOldest).await;
    let first = NewJob { id: Some(id("a")), ..delayed(HOUR) };
    fx.enqueue_all(vec![first, NewJob { priority: -100, ..named("b") }]).await;
    fx.enqueue(NewJob { priority: 100, ..named("c") }).await;
    assert_dropped(fx, "a").await;
    let answers = fx.enqueue_all(vec![named("d"), named("e")]).await;
    assert!(answers.iter().all(|answer| answer.status == EnqueueStatus::Created));
    assert_dropped(fx, "b").await;
    assert_dropped(fx, "c").await;
    assert_eq!(fx.claim_ids().await, [id("d"), id("e")]);

    // One that is dropped gives its key up, to the new job as well, and is counted by its batch.
    let closing = NewJob { start: Start::AfterChildren, queue: "elsewhere".into(), ..named("closing") };
    let child = NewJob { parent: Some(id("closing")), ..unique("k", None) };
    fx.enqueue_all(vec![closing, NewJob { id: Some(id("child")), ..child }, named("f")]).await;
    fx.enqueue(NewJob { id: Some(id("g")), ..unique("free", None) }).await;
    assert_dropped(fx, "child").await;
    assert_eq!(fx.state(&id("closing")).await, State::Available);
    fx.enqueue(NewJob { id: Some(id("h")), ..unique("k", None) }).await;
    assert_dropped(fx, "f").await;
}

/// "A full queue that drops the newest cancels the new job at once."
pub async fn a_full_queue_that_drops_the_newest_cancels_the_new_job_at_once(fx: &Fixture) {
    bound_queue(fx, 1, OnFull::DropNewest).await;
    fx.enqueue(named("a")).await;
    let keyed = || NewJob { unique: unique("k", None).unique, ..named("b") };
    assert_eq!(fx.offer(keyed()).await, Enqueued::new(id("b"), EnqueueStatus::Dropped));
    assert_dropped(fx, "b").await;
    assert!(fx.offer(keyed()).await.is_duplicate());
    assert_eq!(fx.counts(QUEUE).await, [(State::Available, 1), (State::Cancelled, 1)].into());
    assert_eq!(fx.claim_ids().await, [id("a")]);
    let c = fx.offer(NewJob { id: Some(id("c")), ..unique("k", None) }).await;
    assert_eq!(c.status, EnqueueStatus::Created, "a job that was dropped holds no key");
    assert_eq!(fx.act(&id("b"), Action::Retry).await, 0, "the key that it never held is another's");
    fx.claim_ids().await;

    let closing = NewJob { start: Start::AfterChildren, queue: "elsewhere".into(), ..named("closing") };
    let child = |name: &str| NewJob { parent: Some(id("closing")), ..named(name) };
    let answers = fx.enqueue_all(vec![closing, child("kept"), child("dropped")]).await;
    let statuses: Vec<EnqueueStatus> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [EnqueueStatus::Created, EnqueueStatus::Created, EnqueueStatus::Dropped]);
    assert_dropped(fx, "dropped").await;
    let children = fx.job(&id("closing")).await.children.unwrap_or_default();
    assert_eq!((children.total, children.cancelled), (2, 1), "it is counted by its batch");
}

/// "A limit key bounds its waiting jobs in all queues."
pub async fn a_limit_key_bounds_its_waiting_jobs_in_all_queues(fx: &Fixture) {
    bound_key(fx, "tenant:*", 2, OnFull::Reject).await;
    let tenant = |name: &str| limited(name, &["provider", "tenant:1"]);
    fx.enqueue(tenant("a")).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..tenant("b") }).await;
    assert_full(fx, tenant("c"), Full::Key("tenant:1".into())).await;
    fx.enqueue(limited("other", &["tenant:2"])).await;
    fx.enqueue(named("free")).await;
    // Its own configuration goes before its prefix's; one that refuses goes before one that drops.
    bound_key(fx, "tenant:1", 2, OnFull::DropOldest).await;
    bound_queue(fx, 3, OnFull::Reject).await;
    assert_full(fx, tenant("c"), this_queue()).await;
    assert_eq!(fx.state(&id("a")).await, State::Available, "nothing is dropped for a job that is refused");
    bound_queue(fx, 4, OnFull::Reject).await;
    fx.enqueue(tenant("c")).await;
    assert_dropped(fx, "a").await;
    // Two bounds that are full and drop the same job drop it alone.
    bound_queue(fx, 3, OnFull::DropOldest).await;
    bound_key(fx, "tenant:2", 1, OnFull::DropOldest).await;
    fx.enqueue(limited("newest", &["tenant:2"])).await;
    assert_dropped(fx, "other").await;
    assert_eq!(fx.counts(QUEUE).await.get(&State::Available), Some(&3));
}

/// "A clash that creates nothing is not refused by a full queue."
pub async fn a_clash_that_creates_nothing_is_not_refused_by_a_full_queue(fx: &Fixture) {
    let keyed = |name: &str, on_clash| NewJob {
        unique: Some(Unique { on_clash, ..Unique::new("k") }),
        ..named(name)
    };
    fx.enqueue(keyed("a", OnClash::Join)).await;
    bound_queue(fx, 1, OnFull::Reject).await;
    for (on_clash, status) in [
        (OnClash::Join, EnqueueStatus::Duplicate),
        (OnClash::Reject, EnqueueStatus::Rejected),
        (OnClash::Replace, EnqueueStatus::Replaced),
    ] {
        assert_eq!(fx.offer(keyed("b", on_clash)).await, Enqueued::new(id("a"), status));
    }
    assert_full(fx, keyed("b", OnClash::Supersede), this_queue()).await;
    assert_eq!(fx.state(&id("a")).await, State::Available, "which is superseded by none that is refused");
    bound_queue(fx, 1, OnFull::DropNewest).await;
    assert_eq!(fx.offer(keyed("b", OnClash::Supersede)).await.status, EnqueueStatus::Dropped);
    assert_dropped(fx, "b").await;
    assert_eq!(fx.state(&id("a")).await, State::Available, "nor by one that is dropped");
}

/// "A job that waits for its children passes a full queue."
pub async fn a_job_that_waits_for_its_children_passes_a_full_queue(fx: &Fixture) {
    bound_queue(fx, 1, OnFull::Reject).await;
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let child = |name: &str| NewJob { parent: Some(id("closing")), queue: "elsewhere".into(), ..named(name) };
    fx.enqueue_all(vec![named("a"), closing, child("child")]).await;
    assert_eq!(fx.state(&id("closing")).await, State::Blocked);
    fx.act(&id("child"), Action::cancel(secs(1))).await;
    assert_eq!(fx.state(&id("closing")).await, State::Available, "what is due need not ask for room");
    assert_full(fx, job(), this_queue()).await;
}

/// "Follow ups and jobs that wait again pass a full queue."
pub async fn follow_ups_and_jobs_that_wait_again_pass_a_full_queue(fx: &Fixture) {
    let ended = fx.running_from(named("ended")).await;
    let leases = fx.claim_many(3).await;
    fx.enqueue(named("waits")).await;
    bound_queue(fx, 1, OnFull::Reject).await;
    let follow_ups = vec![named("next"), named("after")];
    fx.finish_all(vec![Finish { follow_ups, ..finish(&ended.lease, completed()) }]).await;
    for name in ["next", "after"] {
        assert_eq!(fx.state(&id(name)).await, State::Available);
    }
    fx.end(&leases[0], retry(secs(0))).await;
    fx.end(&leases[1], Outcome::Snoozed { delay: secs(1) }).await;
    fx.end(&leases[2], Outcome::Released).await;
    assert_eq!(fx.act(&id("ended"), Action::Retry).await, 1, "a retry by hand does, too");
    assert_eq!(fx.counts(QUEUE).await, [(State::Available, 6), (State::Scheduled, 1)].into());
}
