//! The contract of idempotency keys.

use longhaul::{Action, EnqueueStatus, Enqueued, Idempotency, JobFilter, Lookup, NewJob, State};

use crate::Fixture;
use crate::jobs::{HOUR, QUEUE, cancelled, completed, id, idempotent, json, named, secs};

/// A request with the key `k`, and the id that its job would have.
fn request(name: &str, fingerprint: &str) -> NewJob {
    NewJob { id: Some(id(name)), ..idempotent("k", fingerprint) }
}

fn first(name: &str) -> Enqueued {
    Enqueued::new(id(name), EnqueueStatus::Duplicate)
}

/// "A repeated idempotency key answers the first job."
pub async fn a_repeated_idempotency_key_answers_the_first_job(fx: &Fixture) {
    fx.enqueue(request("a", "f")).await;
    let again = NewJob { args: json("2"), ..request("b", "f") };
    assert_eq!(fx.offer(again.clone()).await, first("a"));
    assert_eq!(fx.lookup(&id("b")).await, Lookup::Unknown);
    let answers = fx.enqueue_all(vec![named("c"), again.clone()]).await;
    assert_eq!(answers, [Enqueued::new(id("c"), EnqueueStatus::Created), first("a")]);

    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, id("a"));
    assert_eq!(fx.offer(again.clone()).await, first("a"), "while it runs");
    fx.end(&claimed.lease, cancelled()).await;
    assert_eq!(fx.offer(again).await, first("a"), "whatever became of it");

    let both = vec![
        NewJob { id: Some(id("x")), ..idempotent("k2", "f") },
        NewJob { id: Some(id("y")), ..idempotent("k2", "f") },
    ];
    let answers = fx.enqueue_all(both).await;
    let created = Enqueued::new(id("x"), EnqueueStatus::Created);
    assert_eq!(answers, [created, first("x")], "twice in one call");
    assert_eq!(fx.lookup(&id("y")).await, Lookup::Unknown);
}

/// "An idempotency key used for another request creates nothing."
pub async fn an_idempotency_key_used_for_another_request_creates_nothing(fx: &Fixture) {
    fx.enqueue(request("a", "f")).await;
    let before = (fx.seen(&id("a")).await, fx.counts(QUEUE).await);
    assert_eq!(fx.offer(request("b", "g")).await.status, EnqueueStatus::KeyReused);

    let other_key = NewJob { id: Some(id("d")), ..idempotent("k2", "f") };
    let call = vec![named("c"), request("b", "g"), other_key.clone()];
    let statuses: Vec<_> = fx.enqueue_all(call).await.into_iter().map(|answer| answer.status).collect();
    let (reused, not_created) = (EnqueueStatus::KeyReused, EnqueueStatus::NotCreated);
    assert_eq!(statuses, [not_created, reused, not_created], "a call is all or nothing");
    let unknown = vec![Lookup::Unknown; 3];
    assert_eq!(fx.lookup_all(&[id("b"), id("c"), id("d")]).await, unknown);
    assert_eq!((fx.seen(&id("a")).await, fx.counts(QUEUE).await), before);
    assert_eq!(fx.list(&JobFilter::default()).await, [id("a")]);

    assert!(fx.offer(other_key).await.is_created(), "nor was the key of a refused call remembered");
    let clash = vec![
        NewJob { id: Some(id("x")), ..idempotent("k3", "f") },
        NewJob { id: Some(id("y")), ..idempotent("k3", "g") },
    ];
    let statuses: Vec<_> = fx.enqueue_all(clash).await.into_iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [not_created, reused], "two requests of one call with one key");
    assert_eq!(fx.lookup(&id("x")).await, Lookup::Unknown);
    assert!(fx.offer(NewJob { id: Some(id("y")), ..idempotent("k3", "g") }).await.is_created());
}

/// "An idempotency key is forgotten after its time."
pub async fn an_idempotency_key_is_forgotten_after_its_time(fx: &Fixture) {
    let request = |name: &str, keep_for| {
        let idempotency = Idempotency { key: "k".into(), fingerprint: "f".into(), keep_for };
        NewJob { idempotency: Some(idempotency), ..named(name) }
    };
    fx.enqueue(request("a", secs(100))).await;
    fx.clock.advance(secs(99));
    fx.sweep().await;
    assert_eq!(fx.offer(request("b", HOUR)).await, first("a"), "a repetition does not make it longer");
    fx.clock.advance(secs(2));
    let second = fx.offer(request("b", HOUR)).await;
    assert_eq!(second, Enqueued::new(id("b"), EnqueueStatus::Created), "without a sweep");
    assert_eq!(fx.offer(request("c", HOUR)).await, first("b"), "the key is the second one's now");
    fx.sweep().await;
    assert_eq!(
        fx.offer(request("c", HOUR)).await,
        first("b"),
        "and is not forgotten with the first one's time"
    );
    fx.clock.advance(HOUR + secs(1));
    fx.sweep().await;
    assert!(fx.offer(request("c", HOUR)).await.is_created(), "with a sweep");
}

/// "An idempotency key outlives its job."
pub async fn an_idempotency_key_outlives_its_job(fx: &Fixture) {
    let claimed = fx.running_from(request("a", "f")).await;
    fx.end(&claimed.lease, completed()).await;
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 1);
    assert_eq!(fx.lookup(&id("a")).await, Lookup::Gone);
    assert_eq!(fx.offer(request("b", "f")).await, first("a"), "the job is deleted, the key is not");
    assert_eq!(fx.offer(request("b", "g")).await.status, EnqueueStatus::KeyReused);
    assert_eq!(fx.lookup(&id("b")).await, Lookup::Unknown);

    let keep = Idempotency { key: "long".into(), fingerprint: "f".into(), keep_for: 72 * HOUR };
    let long = |name: &str| NewJob { idempotency: Some(keep.clone()), ..named(name) };
    let claimed = fx.running_from(long("x")).await;
    fx.end(&claimed.lease, completed()).await;
    fx.clock.advance(30 * HOUR);
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(fx.offer(long("y")).await, first("x"), "the job is pruned, the key is not");
    assert_eq!(fx.counts(QUEUE).await.get(&State::Available), None);
}
